"""What the checks of searchers and of predictors share."""

import inspect
import json
import os
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from nas.configuration import validate_options
from nas.errors import InputError


class Part(Protocol):
    """A class with options, to be checked."""

    @property
    def kind(self) -> type[Any]:
        """The class."""

    @property
    def options(self) -> Mapping[str, Any]:
        """The options as in a YAML file."""


Case = TypeVar("Case", bound=Part)


def options_are_declared(case: Part) -> None:
    """The options are typed keyword-only arguments, against which YAML files are checked."""
    parameters = inspect.signature(case.kind.__init__).parameters.values()
    untyped = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.annotation is p.empty]
    assert not untyped, f"these options have no type: {', '.join(untyped)}"
    written = json.loads(json.dumps(case.options))
    try:
        read = validate_options(case.kind, written)
    except InputError as error:
        raise AssertionError(
            f"the options {case.options} are refused ({error}); options are keyword-only arguments"
        ) from None
    assert read == case.options, f"the options {case.options} are read as {read}"
    try:
        validate_options(case.kind, {"objectives": 1})
    except InputError as error:
        message = str(error)
    else:
        message = "no error"
    assert "unknown key 'objectives'" in message, (
        f"the option 'objectives' must be refused as an unknown key; got: {message}"
    )


def same_with_any_hash_seed(
    found: Callable[[Case], Any], cases: Sequence[Case], broken: str
) -> None:
    """Computes something of each case with two hash seeds of Python, and compares.

    All cases are run in two processes. If a class cannot be imported in another process, the check
    is skipped with a warning.

    Args:
        found: the function, from a module that another process can import.
        cases: the cases.
        broken: the message if it depends on the hash seed, on which the order of a set depends.
    """
    try:
        pickled = pickle.dumps((found, cases))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        warnings.warn(f"the hash seed is not checked: {error}", stacklevel=3)
        return
    code = (
        "import pickle, sys; found, cases = pickle.load(sys.stdin.buffer); "
        "print([found(case) for case in cases])"
    )
    printed = []
    for seed in "12":
        done = subprocess.run(
            [sys.executable, "-c", code],
            input=pickled,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        printed.append(done.stdout)
    assert printed[0] == printed[1], broken
