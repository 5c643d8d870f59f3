"""Writes a commented draft of a campaign for a person to edit."""

import inspect
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas.campaigns.spec.campaign import FILE_NAME
from nas.configuration import parse_yaml
from nas.errors import InputError
from nas.metrics import METRICS
from nas.registry import Registry
from nas.searchers import SEARCHERS
from nas.spaces import space_file
from nas.training.datasets import DATASETS
from nas.user_code import is_code

_KNOWN: dict[str, dict[str, Any]] = {
    # The images are 8x8, too small for most classics, and there is no official test part.
    "digits": {"options": {"resolution": 16}, "split": "{train: 0.6, validation: 0.2, test: 0.2}"},
    # With the paper's 100 and 25, the draft's budget would be spent on random trials.
    "evolution": {"options": {"population_size": 25, "tournament_size": 5}},
    # The draft's epochs.
    **{
        name: {"options": {"max_fidelity": 8, "reduction_factor": 2}}
        for name in ("successive_halving", "asha", "hyperband", "bohb")
    },
}

_SPLIT = "{train: 0.9, validation: 0.1}"

_DRAFT = """\
# A search campaign. Run it with `nas run {folder}`; the same command resumes it if it was stopped.
# The run writes its results, above all records.jsonl, beside this file.

space: {space}                # a name of `nas spaces`, or, beside this file, FILE.yaml or
                                 # FILE.py:FUNCTION; {{name: ..., cells: 2}} sets its options
searcher:
  name: {searcher}
{searcher_options}
random_baseline: true            # also run random search with the same budget
objectives:
  - {objective}{others}
  # - {{metric: train_loss, direction: minimize}}   # any other metric of a trial
                                 # several: random, nsga2, multi_objective_evolution, optuna
# constraints:                   # hard limits
#   params: 1_000_000            # also macs, flops, activations, depth; others are drawn again
#   latency_ms: 5                # measured; a slower network fails before it is trained
# hyperparameters:               # searched together with the architecture
#   learning_rate: [0.001, 0.003, 0.01]
budget:                          # for each search; the first limit that is reached ends it
  trials: 100
  # hours: 8                     # wall clock
  # accelerator_hours: 16        # hours times the GPUs of a trial, or its CPU cores without GPU
  # epochs: 800
# duplicates: reuse              # duplicates cost no budget; or retry, evaluate
# fidelity: epochs               # the unit for asha etc.; or train_fraction, resolution, width
# inherit_weights: false         # true: evolution's children start from their parents' weights

data:
  name: {data}
{data_options}
  split: {split}   # fractions of every class{split_note}

recipe:
  preset: quick                  # or cifar; other keys given here override the preset
  epochs: 8                      # passes over the training images

final:                           # these are retrained from scratch; each reads the test images once
  top: 5                         # the best of the search, by its objectives
  # top_random: 5                # the best of the random baseline; default: as many as top
  # compile: auto                # torch.compile for long trainings; or always, never
  # protocol: ten_crop           # an additional evaluation protocol; or flip, multi_scale
  seeds: [0, 1, 2, 3]            # with several classics, the first seed is only used to select
  classics:                      # see `nas classics`
    - lenet5
    - {{name: nin, width: 0.5}}
    - vgg8
    - resnet20
    - {{name: mobilenet_v2, stem: cifar}}

seed: 0                          # the seed of the searches; final.seeds are for retraining

engine:
  name: ray                      # or serial: one trial after another in one process
  concurrency: auto              # trials at a time; auto: one per GPU, or per CPU core without
  cpus_per_trial: 1
  gpus_per_trial: auto           # may be a fraction; auto: 1 if there are any
  # address: host:port           # of a Ray cluster that this machine is part of
"""


def write_campaign(
    folder: Path, space: str = "primitives", searcher: str = "evolution", data: str = "digits"
) -> Path:
    """Writes a commented ``campaign.yaml`` into ``folder``, which is made if it is missing.

    Options without a default are marked for the user to fill in.

    Args:
        folder: the folder of the new campaign.
        space: a built-in space, or a YAML file or a Python function, relative to ``folder``.
        searcher: a name in :data:`nas.searchers.SEARCHERS`, or a user's searcher.
        data: a name in :data:`nas.training.data.DATASETS`, or a user's data set.

    Returns the path of the file. Raises :class:`InputError` for an unknown name, and where there
    is a campaign already.
    """
    path = folder / FILE_NAME
    if path.exists():
        raise InputError(f"{path}: already exists; choose another folder, or edit that file")
    if not is_code(space):
        space_file(space)  # for its message
    known = _KNOWN.get(data, {})
    objective, *others = sorted(METRICS.known(), key=lambda name: name != METRICS.validation)
    text = _DRAFT.format(
        folder=folder,
        space=space,
        searcher=searcher,
        searcher_options=_options(SEARCHERS, searcher, folder),
        data=data,
        data_options=_options(DATASETS, data, folder),
        split=known.get("split", _SPLIT),
        objective=objective,
        others=_wrapped("or " + ", ".join(others), 31 - len(objective) - 4),
        split_note="" if "split" in known else "; the test part is the official one",
    )
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(line.rstrip() for line in text.splitlines()) + "\n", encoding="utf-8")
    return path


def data_section(given: Mapping[str, Any]) -> dict[str, Any]:
    """Fills in a ``data`` section with the values of a draft."""
    known = _KNOWN.get(str(given.get("name")), {})
    split = parse_yaml(known.get("split", _SPLIT), "split")
    return {**known.get("options", {}), "split": split, **given}


def _options(registry: Registry, name: str, folder: Path) -> str:
    """Writes the options of an entry: known or open values, and defaults in comments."""
    known = _KNOWN.get(name, {}).get("options", {})
    lines = []
    for parameter in inspect.signature(registry.find(name, folder)).parameters.values():
        if parameter.kind is not parameter.KEYWORD_ONLY:
            continue
        if parameter.name in known:
            lines.append(f"  {parameter.name}: {known[parameter.name]}")
        elif parameter.default is parameter.empty:
            lines.append(f"  {parameter.name}: FILL IN")
        else:
            lines.append(f"  # {parameter.name}: {_yaml(parameter.default)}")
    return "\n".join(lines) or "  # it has no options"


def _wrapped(words: str, spaces: int) -> str:
    """Writes a comment in the draft's comment column, over several lines if necessary."""
    lines = textwrap.wrap(words, 60)
    return " " * (spaces + 2) + f"\n{' ' * 33}".join(f"# {line}" for line in lines)


def _yaml(value: Any) -> str:
    if value is None:
        return "null"
    return str(list(value) if isinstance(value, tuple) else value)
