"""Recipes by name: where they are from, and what is our own."""

from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    # For small data on a CPU: our own. AdamW and He et al.'s initialization, because with them
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
    # The classic 200 epochs: Zagoruyko & Komodakis, arXiv:1605.07146, section 3.
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
    # Real et al. 2019, arXiv:1802.01548, CIFAR-10: for networks built with auxiliary=True and
    # drop_path=0.7. The batch is that of NASNet's code.
    "amoebanet": {
        "epochs": 600,
        "batch_size": 128,
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
"""What ``preset:`` in a recipe may say; its other keys override these."""
