"""Recipes by name, with their sources and our deviations.

SGD always uses Nesterov momentum. Weights are initialised as torch does unless a recipe sets
``initialization``; ``initialization: reference`` is closest to a paper.
"""

from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    # Our own, for small data on a CPU. It uses AdamW and He et al.'s initialization, because then
    # networks with and without batch norm learn within a few epochs.
    "quick": {
        "epochs": 6,
        "batch_size": 32,
        "optimizer": "adamw",
        "learning_rate": 3e-3,
        "weight_decay": 0.02,
        "schedule": "cosine",
        "warmup_epochs": 1.0,
        "gradient_clip": 1.0,
        "initialization": "kaiming_normal",
        "augment": [{"name": "shift", "pixels": 1}],
    },
    # The classic 200 epochs: Zagoruyko & Komodakis, arXiv:1605.07146, section 3. Their code draws
    # convolutions after He et al., and leaves out an epoch's last, smaller batch.
    "cifar": {
        "epochs": 200,
        "batch_size": 128,
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "decay_norm_and_bias": True,
        "schedule": "step",
        "steps": [0.3, 0.6, 0.8],
        "step_factor": 0.2,
        "augment": [{"name": "shift", "pixels": 4, "fill": "reflect"}, "flip"],
    },
    # Short: one cycle and strong augmentation, after Page 2018 ("How to train your ResNet") and
    # Smith & Topin, arXiv:1708.07120.
    "cifar_fast": {
        "epochs": 20,
        "batch_size": 128,
        "optimizer": "sgd",
        "learning_rate": 0.2,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "schedule": "one_cycle",
        "warmup_epochs": 5.0,
        "label_smoothing": 0.1,
        "augment": [
            {"name": "shift", "pixels": 4, "fill": "reflect"},
            "flip",
            {"name": "cutout", "size": 8},
        ],
    },
    # Real et al. 2019, arXiv:1802.01548, CIFAR-10, for networks built with auxiliary=True and
    # drop_path=0.3: the paper's 0.7 is taken as the probability that the last cell keeps a path.
    # Batch size and gradient clipping are those of NASNet's code (tensorflow/models,
    # research/slim/nets/nasnet/nasnet.py). In that code the learning rate is 0.025, the weight of a
    # head is 0.4, paths are kept with probability 0.6, and weights are drawn by fan-out. Cutout is
    # that of DeVries & Taylor (2017) for CIFAR-10; for results without it, remove it from augment.
    "amoebanet": {
        "epochs": 600,
        "batch_size": 32,
        "optimizer": "sgd",
        "learning_rate": 0.024,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "schedule": "cosine",
        "gradient_clip": 5.0,
        "auxiliary_weight": 0.5,
        "drop_path_schedule": "linear",
        "augment": [{"name": "shift", "pixels": 4}, "flip", {"name": "cutout", "size": 16}],
    },
    # Dong & Yang 2020, arXiv:2001.00326, table 1.
    "nasbench201": {
        "epochs": 200,
        "batch_size": 256,
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "decay_norm_and_bias": True,
        "schedule": "cosine",
        "augment": ["flip", {"name": "shift", "pixels": 4}],
    },
}
"""The presets that ``preset:`` in a recipe may name; the recipe's other keys override them."""
