"""Starts or joins the Ray cluster on which trials run."""

import importlib.util
import logging
import math
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
from ray._private import ray_constants
from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]
from ray.exceptions import AuthenticationError

from nas.campaigns.engines.base import Evaluator, NoRoom
from nas.campaigns.engines.signals import without_hangup
from nas.errors import CampaignError, InputError, text_of
from nas.evaluators.base import Function
from nas.user_code import is_file

_QUIET: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}


@contextmanager
def local(cpus: int, scratch: Path, niceness: int = 0) -> Iterator[None]:
    """Starts a cluster on this machine only, for this process, and ends it at the end.

    It listens on the loopback interface alone, and requires a random token that only the
    processes of this user can read.

    Args:
        cpus: the number of cores that it uses.
        scratch: a folder of this user alone, in which it makes its temporary folder. Ray lets
            everybody write to that one.
        niceness: how much nicer its workers are than this process; Ray's own default is 15.

    Raises :class:`CampaignError` if Ray cannot be started.
    """
    with _environment(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32)), _loopback():
        try:
            try:
                with without_hangup():  # or the cluster ends before the work has been stopped
                    ray.init(
                        address="local",  # never a cluster that a killed driver has left behind
                        num_cpus=cpus,
                        include_dashboard=False,
                        _temp_dir=str(scratch / "r"),
                        _system_config={"worker_niceness": niceness},
                        **_QUIET,
                    )
            except Exception as error:  # Ray raises plain ones, for example after a time limit
                reason = text_of(error).strip().partition("\n")[0]
                raise CampaignError(
                    f"Ray could not be started on this machine ({reason}): run the command again, "
                    "or use engine: {name: serial}"
                ) from error
            yield
        finally:
            ray.shutdown()


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    """Sets variables that Ray also keeps in caches."""
    before = {name: os.environ.get(name) for name in values}
    try:
        os.environ.update(values)
        _read_again()
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        _read_again()


def _read_again() -> None:
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def _loopback() -> Iterator[None]:
    """Lets Ray take 127.0.0.1 as this machine's address, as it does on macOS and Windows.

    The argument of ``ray.init`` for the address cannot be used, because it replaces 127.0.0.1.
    """
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


@contextmanager
def joined(address: str, evaluator: Evaluator) -> Iterator[None]:
    """Connects to a running cluster, sends it the code that its workers need, and leaves it.

    This is the code of this package and of the evaluator, which may be missing on other nodes, or
    have another version there. The packages that they import must be installed on the nodes.

    Args:
        address: ``host:port``, or "auto" for the cluster that this machine is part of.
        evaluator: the evaluator. A user's file must be on every node, at the same path.

    Raises :class:`InputError` if no cluster answers.
    """
    name = evaluator.name if isinstance(evaluator, Function) else evaluator
    code = {_code("nas")}
    if isinstance(name, str) and not is_file(name):
        code.add(_code(name.partition(":")[0].partition(".")[0]))
    try:
        try:
            ray.init(address=address, runtime_env={"py_modules": sorted(code)}, **_QUIET)
        except (ConnectionError, RuntimeError, ValueError, AuthenticationError) as error:
            raise InputError(
                f"engine.address: no Ray cluster answers at {address!r}; allowed: auto or "
                "host:port of a running one that this machine is part of "
                f"({str(error).strip().splitlines()[0]})"
            ) from error
        yield
    finally:
        ray.shutdown()


def _code(module: str) -> str:
    """Returns the folder or file of a top-level module."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise InputError(f"evaluator: there is no module {module!r} here to send to the workers")
    found = Path(spec.origin)
    return str(found.parent if spec.submodule_search_locations is not None else found)


def rooms(needs: Mapping[str, float]) -> int:
    """Returns how many trials with these needs can run at the same time.

    A trial runs on one node, and its share of a GPU must be on one GPU: two halves of different
    GPUs cannot be combined.

    Args:
        needs: the amounts of "CPU" and "GPU" that a trial needs.

    Raises :class:`NoRoom` if no node has enough, because Tune would wait for ever.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    for kind, needed in needs.items():
        most = max(node.get(kind, 0) for node in nodes)
        if needed > most:
            raise NoRoom(
                f"engine.{kind.lower()}s_per_trial: must be at most {most:g}, the largest number "
                f"on a node, got {needed:g}"
            )
    return sum(
        min(_fit(node.get(kind, 0), needed) for kind, needed in needs.items() if needed)
        for node in nodes
    )


def _fit(there: float, needed: float) -> int:
    # Ray rounds to ten-thousandths, so three times 0.3333 make one.
    share = 1e-4
    if needed >= 1:
        return int((there + share) // needed)
    return int(there) * math.floor((1 + share) / needed)


@contextmanager
def scratch(name: str) -> Iterator[Path]:
    """Yields a temporary folder for Ray that only this user can read, and deletes it at the end.

    Args:
        name: the beginning of the folder's name; a random part is added, so that nobody can make
            the folder before. What a killed run with the same name has left is deleted too.

    The paths of Ray's Unix sockets in it must have less than 104 characters, of which names take
    up to 90.

    Raises :class:`CampaignError` if the folder cannot be made.
    """
    try:
        place = Path(tempfile.gettempdir())
        place = place if len(str(place)) <= 13 else Path("/tmp")
        for left in place.glob(f"{name}-????????"):
            if left.is_dir() and not left.is_symlink() and left.lstat().st_uid == os.getuid():
                shutil.rmtree(left, ignore_errors=True)
        made = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=place))
    except OSError as error:
        raise CampaignError(
            f"Ray needs a folder for temporary files, and there is none: {text_of(error)}; set "
            "TMPDIR to a folder with a path of at most 13 characters, or use engine: {name: serial}"
        ) from error
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
