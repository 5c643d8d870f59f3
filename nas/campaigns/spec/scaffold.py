"""Writes a commented draft of a campaign for a person to edit."""

import inspect
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from nas.boxes import anchor_sizes
from nas.campaigns.spec.campaign import FILE_NAME
from nas.campaigns.spec.contestants import fitting
from nas.campaigns.spec.data_argument import known_options, read
from nas.campaigns.spec.draft import commented, data_section, draft, wrapped
from nas.campaigns.spec.frame import Frame
from nas.configuration import Named
from nas.errors import InputError, in_file
from nas.files import at_home, write_whole
from nas.metrics import Catalogue
from nas.registry import Registry
from nas.searchers import SEARCHERS
from nas.spaces import space as make_space
from nas.spaces import space_file
from nas.tasks import DEFAULT, TASKS, Task, make
from nas.training.augmentation import usual_shift
from nas.training.data import Loaded, load, resolve
from nas.training.datasets import DATASETS
from nas.training.datasets.parts import ROLES
from nas.training.splitting import SPLITS
from nas.user_code import absolute, is_code, is_file
from nas.yaml_files import is_yaml, source

_EPOCHS = 8
"""The epochs of the draft; small data sets get more, up to :data:`_MOST_EPOCHS`."""
_MOST_EPOCHS = 60
_STEPS, _BATCH = 1500, 32
"""How many training steps a small data set should get, and the images of a step."""
_SECONDS, _RATE = 30.0, 4e9
"""How long a trial should take, and how many multiply-accumulates a core does in a second."""
_SAMPLES = 40
"""How many networks of the space are counted to see how large they are."""

_SEARCHERS: dict[str, dict[str, Any]] = {
    # With the paper's 100 and 25, the draft's budget would be spent on random trials.
    "evolution": {"population_size": 25, "tournament_size": 5},
    # The draft's epochs.
    **{
        name: {"max_fidelity": _EPOCHS, "reduction_factor": 2}
        for name in ("successive_halving", "asha", "hyperband", "bohb")
    },
}
"""Options of searchers that suit the draft's budget."""

_EVALUATORS = {
    "gradient": ("strength", "\nevaluator: {name: gradient, epochs: 50}   # as many as DARTS")
}
"""Searchers that need an evaluator of their own: the objective, and the section of the draft."""

_CONSTRAINTS = """\
# constraints:                   # hard limits
#   params: 1_000_000            # also macs, flops, activations, depth; others are drawn again
#   latency_ms: 5                # measured; a slower network fails before it is trained"""

_CLASSICS = """\
    - lenet5
    - {name: nin, width: 0.5}
    - vgg8
    - resnet20
    - {name: mobilenet_v2, stem: cifar}"""

_DRAFT = """\
# A search campaign. Run it with `nas run {folder}`; the same command resumes it if it was stopped.
# The run writes its results, above all records.jsonl, beside this file.

space: {space}                # a name of `nas spaces`, or, beside this file, FILE.yaml or
                                 # FILE.py:FUNCTION; {{name: ..., cells: 2}} sets its options
searcher:
  name: {searcher}
{searcher_options}{evaluator}{task}
random_baseline: true            # also run random search with the same budget
objectives:
  - {objective}{others}
  # - {{metric: train_loss, direction: minimize}}   # any other metric of a trial
                                 # several: random, nsga2, multi_objective_evolution, optuna
{constraints}
# hyperparameters:               # searched together with the architecture
#   learning_rate: [0.001, 0.003, 0.01]
budget:                          # for each search; the first limit that is reached ends it
  trials: 100
  # hours: 8                     # wall clock
  # accelerator_hours: 16        # hours times the GPUs of a trial, or its CPU cores without GPU
  # epochs: 800
# duplicates: reuse              # duplicates cost no budget; or retry, evaluate
# fidelity: epochs               # the unit for asha etc.; or train_fraction, resolution, width
# reading: image                 # or rows, columns, volume, stack: for texts, boards and others
# inherit_weights: false         # true: evolution's children start from their parents' weights

{data}

recipe:
  preset: quick                  # or cifar; other keys given here override the preset
{recipe}

final:                           # these are retrained from scratch; each reads the test images once
  top: 5                         # the best of the search, by its objectives
  # top_random: 5                # the best of the random baseline; default: as many as top
  # compile: auto                # torch.compile for long trainings; or always, never
  # protocol: ten_crop           # an additional evaluation protocol; or flip, multi_scale
  seeds: [0, 1, 2, 3]            # with several classics, the first seed is only used to select
  classics:                      # see `nas classics`
{classics}

seed: 0                          # the seed of the searches; final.seeds are for retraining

engine:
  name: ray                      # or serial: one trial after another in one process
  concurrency: auto              # trials at a time; auto: one per GPU, or per CPU core without
  cpus_per_trial: 1
  gpus_per_trial: auto           # may be a fraction; auto: 1 if there are any
  # address: host:port           # of a Ray cluster that this machine is part of
"""


def write_campaign(
    folder: Path,
    space: str = "primitives",
    searcher: str = "evolution",
    data: str = "digits",
    task: str | None = None,
) -> Path:
    """Writes a commented ``campaign.yaml`` into ``folder``, which is made if it is missing.

    If ``data`` is a folder or a file of images, it is looked at, and the draft fits it. Options
    without a default are marked for the user to fill in.

    Args:
        folder: the folder of the new campaign.
        space: a built-in space, or a YAML file or a Python function.
        searcher: a name in :data:`nas.searchers.SEARCHERS`, or a user's searcher.
        data: see :func:`nas.campaigns.spec.data_argument.read`.
        task: a name in :data:`nas.tasks.TASKS`, or a user's task; by default the one for the labels
            of the data set.

    Relative paths start at the current folder, as in other commands; a file that is only found from
    ``folder`` is that one.

    Returns the path of the file. Raises :class:`InputError` for an unknown name, for data that
    cannot be read, and where there is a campaign already.
    """
    path = folder / FILE_NAME
    if path.exists():
        raise InputError(f"{path}: already exists; choose another folder, or edit that file")
    space, searcher = (_from_folder(name, folder) for name in (space, searcher))
    if not is_code(space):
        space_file(_place(space, folder))  # for its message
    named = None if task is None else make(Named(name=_from_folder(task, folder)))
    chosen, sections = _data(data, folder, space, task, named)
    metrics = Catalogue(chosen.metrics)
    objective, evaluator = _EVALUATORS.get(searcher, (metrics.validation, ""))
    others = sorted(metrics.known().keys() - {objective})
    text = _DRAFT.format(
        folder=folder,
        space=space,
        searcher=searcher,
        searcher_options=_options(SEARCHERS, searcher, folder, _SEARCHERS.get(searcher, {})),
        evaluator=evaluator,
        objective=objective,
        others=wrapped("or " + ", ".join(others), 31 - len(objective) - 4),
        **sections,
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(path, draft(text).encode())
    return path


def _from_folder(name: str, folder: Path) -> str:
    """Makes the path in a name relative to ``folder``, if it leads to a file from here."""
    place = name.rpartition(":")[0] if is_file(name) else name
    if not (is_file(name) or is_yaml(name)) or not at_home(place).is_file():
        return name
    there = Path(os.path.relpath(at_home(place), folder)).as_posix()
    return name.replace(place, there, 1)


def _place(name: str, folder: Path) -> str:
    """Returns a name in which the path, which starts at ``folder``, is absolute."""
    return str(folder / name) if is_yaml(name) else absolute(name, folder)


_TASKS = {
    "masks": "segmentation",
    "boxes": "detection",
    "tags": "multilabel",
    "values": "regression",
}
"""The tasks for labels other than classes."""

_ANCHORS = 6
"""How many anchors are proposed."""


def _data(
    text: str, folder: Path, space: str, name: str | None, task: Task | None
) -> tuple[Task, dict[str, str]]:
    """Writes the sections that depend on the data: task, data, constraints, recipe, classics.

    Also returns the task, which is the one that is given, if any.
    """
    if text in DATASETS or _has_open_options(text):
        section = "" if name is None else f"\ntask: {name}"
        return task or make(Named(name=DEFAULT)), {"task": section, **_named_data(text, folder)}
    given = read(text)
    with in_file(source(text, "--data")):
        loaded = load(resolve(given.section, given.folder))
    kind = loaded.images.kind
    name = name or _TASKS.get(kind, DEFAULT)
    task = task or make(Named(name=name))
    with in_file("--task"):
        task.check_labels(kind)
    train = len(loaded.split.train)
    epochs = min(max(round(_STEPS * _BATCH / train), _EPOCHS), _MOST_EPOCHS)
    steps = -(-train // _BATCH) * epochs
    shape = loaded.images.input_shape
    channels, *sides = shape
    macs, why = _limit(space, folder, loaded, epochs, task)
    pixels = usual_shift(sides)
    augment = [
        commented("  augment:", "the preset's is replaced"),
        f"    - {{name: shift, pixels: {pixels}}}",
    ]
    if len(sides) != 2:
        augment = [commented("  augment: []", "transformations are for images")]
    elif task.placed and kind == "values":
        augment = [commented("  augment: []", "nothing that moves the image can move its labels")]
    elif not pixels:
        augment = [commented("  augment: []", "the images are too narrow to be shifted")]
    elif channels == 3 and loaded.config.name != "svhn":
        augment.append(
            commented("    - flip", "remove it if a mirror image can be of another class")
        )
    frame = Frame(shape, task.outputs(shape, loaded.images.classes), task)
    return task, {
        "task": _task(name, loaded, folder),
        "data": data_section(given, loaded, folder),
        "constraints": f"constraints:{' ' * 21}# hard limits; also params, latency_ms, ...\n"
        + commented(f"  macs: {macs:_}", why),
        "recipe": "\n".join(
            [
                commented(f"  epochs: {epochs}", f"{train:,} training images: {steps:,} steps"),
                *augment,
            ]
        ),
        "classics": _classics(fitting(frame, macs)),
    }


def _classics(names: Iterable[str]) -> str:
    """Writes classics that are as wide as the constraints allow."""
    lines = [f"    - {{name: {name}, fit: constraints}}" for name in names]
    if not lines:
        return "    []"
    return "\n".join([f"{lines[0]}   # as wide as the constraints allow", *lines[1:]])


def _task(name: str, loaded: Loaded, folder: Path) -> str:
    """Writes the section of a task with its options, unless it is classification."""
    if name == DEFAULT:
        return ""
    options = _options(TASKS, name, folder, {})
    labels = loaded.images.labels
    if loaded.images.kind == "boxes":
        boxes = labels[loaded.split.train].reshape(-1, 5).astype(float)
        boxes = boxes[boxes[:, 4] >= 0]
        with suppress(ValueError):
            sizes = [list(size) for size in anchor_sizes(boxes[:, 2:4] - boxes[:, :2], _ANCHORS)]
            best = commented(
                f"  # anchors: {sizes}", "by k-means on the training boxes; without, as in FCOS"
            )
            options = options.replace("  # anchors: null", best)
    reason = commented(f"  name: {name}", f"the labels are {loaded.images.kind}")
    return f"\ntask:\n{reason}\n{options}"


def _has_open_options(text: str) -> bool:
    """Tells if a user's function has options without a default, so that it cannot be called."""
    if not is_code(text) or os.path.lexists(text):
        return False
    parameters = inspect.signature(DATASETS.find(text, Path())).parameters.values()
    return any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters)


def _named_data(name: str, folder: Path) -> dict[str, str]:
    """Writes the sections for a data set that is known by its name, which is not read."""
    name = _from_folder(name, folder)
    known = known_options(name)
    split = known.pop("split", SPLITS[ROLES])
    note = "" if "test" in split else "; the test part is the official one"
    fractions = ", ".join(f"{part}: {share}" for part, share in split.items())
    return {
        "data": f"data:\n  name: {name}\n{_options(DATASETS, name, folder, known)}\n"
        f"  split: {{{fractions}}}   # fractions of every class{note}",
        "constraints": _CONSTRAINTS,
        "recipe": f"  epochs: {_EPOCHS}                      # passes over the training images",
        "classics": _CLASSICS,
    }


def _limit(space: str, folder: Path, loaded: Loaded, epochs: int, task: Task) -> tuple[int, str]:
    """Returns a limit of multiply-accumulates, and its reason.

    A trial should take half a minute on one core. If less than a tenth of the space's networks are
    as small as that, the limit is that of the smallest tenth.
    """
    work = 3 * len(loaded.split.train) * epochs  # a backward pass costs about two forward ones
    limit = _SECONDS * _RATE / work
    why = f"a trial takes about {_SECONDS:.0f} s on one core, as a rule; with a GPU, raise it"
    outputs = task.outputs(loaded.images.input_shape, loaded.images.classes)
    found = make_space(_place(space, folder), loaded.images.input_shape, outputs)
    rng = np.random.default_rng(0)
    members = (found.decode(found.sample(rng)) for _ in range(_SAMPLES))
    costs = [task.network(member, outputs).cost.macs for member in members]
    least = sorted(costs)[_SAMPLES // 10]
    if least > limit:
        seconds = round(least * work / _RATE)
        limit = least
        why = (
            f"a tenth of the space's networks are smaller; a trial takes about {seconds:,} s "
            "on one core; fewer epochs or a smaller resolution make it faster"
        )
    digits = max(0, len(str(int(limit))) - 2)
    return -(-int(limit) // 10**digits) * 10**digits, why


def _options(registry: Registry, name: str, folder: Path, known: Mapping[str, Any]) -> str:
    """Writes the options of an entry: known or open values, and defaults in comments."""
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


def _yaml(value: Any) -> str:
    if value is None:
        return "null"
    return str(list(value) if isinstance(value, tuple) else value)
