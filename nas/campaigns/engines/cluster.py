"""The Ray cluster that trials run on: one that is started here, or a running one to join."""

import importlib.util
import logging
import math
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

os.environ.update(  # before ray is imported, which reads some of them then
    RAY_AIR_NEW_OUTPUT="0",
    RAY_CHDIR_TO_TRIAL_DIR="0",  # or relative paths break in workers
    RAY_DEDUP_LOGS_SKIP_REGEX="A worker died or was killed",  # it is in the records
    RAY_USAGE_STATS_ENABLED="0",
    TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="1",
    TUNE_DISABLE_SIGINT_HANDLER="1",
    TUNE_DISABLE_STRICT_METRIC_CHECKING="1",
    TUNE_GLOBAL_CHECKPOINT_S="1000000000",
    TUNE_PRINT_ALL_TRIAL_ERRORS="0",
)

import ray
from ray.exceptions import AuthenticationError

from nas.errors import InputError

_QUIET: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}


def start(cpus: int | None, scratch: Path) -> None:
    """Starts a cluster of this machine alone, for this process.

    Args:
        cpus: what it takes for its cores; None: those that there are.
        scratch: its temporary folder.
    """
    ray.init(
        address="local",  # never the cluster that a killed driver may have left
        num_cpus=cpus,
        include_dashboard=False,
        _temp_dir=str(scratch),
        **_QUIET,
    )


def join(address: str, evaluator: str) -> None:
    """Connects to a running cluster, and sends it the code that its workers need.

    That is this package and the evaluator's, which other nodes may not have, or in another
    version; what these import in turn has to be installed there.

    Args:
        address: ``host:port``, or "auto": the cluster that this machine is part of.
        evaluator: ``"module:attribute"``.

    Raises :class:`InputError` where no cluster answers.
    """
    code = {_code("nas"), _code(evaluator.partition(":")[0].partition(".")[0])}
    try:
        ray.init(address=address, runtime_env={"py_modules": sorted(code)}, **_QUIET)
    except (ConnectionError, RuntimeError, ValueError, AuthenticationError) as error:
        raise InputError(
            f"engine.address: no Ray cluster answers at {address!r}; allowed: auto or host:port of "
            f"a running one that this machine is part of ({str(error).strip().splitlines()[0]})"
        ) from error


def _code(module: str) -> str:
    """The folder, or the file, that a module of the top level is in."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise InputError(f"evaluator: there is no module {module!r} here to send to the workers")
    found = Path(spec.origin)
    return str(found.parent if spec.submodule_search_locations is not None else found)


def rooms(needs: Mapping[str, float]) -> int:
    """How many trials with such needs run at a time.

    A trial runs on one node, and the share of a GPU is one GPU's: two halves of different ones
    are none.

    Args:
        needs: how much of "CPU" and of "GPU" a trial takes.

    Raises :class:`InputError` where no node has as much: Tune would wait for it for good.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    for kind, needed in needs.items():
        most = max(node.get(kind, 0) for node in nodes)
        if needed > most:
            raise InputError(
                f"engine.{kind.lower()}s_per_trial: must be at most {most:g}, which is what "
                f"there is on a node, got {needed:g}"
            )
    return sum(
        min(_fit(node.get(kind, 0), needed) for kind, needed in needs.items() if needed)
        for node in nodes
    )


def _fit(there: float, needed: float) -> int:
    # Ray counts in ten-thousandths: three times 0.3333 is a whole.
    share = 1e-4
    if needed >= 1:
        return int((there + share) // needed)
    return int(there) * math.floor((1 + share) / needed)


def short_temporary_folder() -> Path:
    """Ray puts Unix sockets below it, whose whole path must stay under 104 characters."""
    folder = tempfile.gettempdir()
    return Path(folder if len(folder) <= 24 else "/tmp")
