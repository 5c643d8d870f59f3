"""The table of names: imported late, complete in its messages."""

import subprocess
import sys

import pytest

from nas.errors import InputError
from nas.registry import Registry, unknown

TABLE = {"square_root": "math:sqrt", "decimal": "decimal:Decimal", "broken": "no_such_module:x"}


def test_an_entry_is_what_it_names() -> None:
    import decimal
    import math

    registry = Registry("function", TABLE)
    assert registry["square_root"] is math.sqrt
    assert registry["decimal"] is decimal.Decimal


def test_it_is_a_mapping() -> None:
    registry = Registry("function", TABLE)
    assert list(registry) == list(TABLE)
    assert len(registry) == 3
    assert "square_root" in registry
    assert "sqrt" not in registry


def test_nothing_is_imported_before_it_is_asked_for() -> None:
    program = (
        "import sys; from nas.registry import Registry;"
        "r = Registry('x', {'a': 'colorsys:hls_to_rgb'});"
        "list(r), 'a' in r; early = 'colorsys' in sys.modules; r['a'];"
        "sys.exit(early or 'colorsys' not in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_broken_entry_is_a_bug_not_bad_input() -> None:
    with pytest.raises(ModuleNotFoundError):
        Registry("function", TABLE)["broken"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "squareroot",
            "unknown function 'squareroot' (did you mean 'square_root'?); "
            "allowed: square_root, decimal, broken",
        ),
        ("zzz", "unknown function 'zzz'; allowed: square_root, decimal, broken"),
    ],
)
def test_unknown_name(name: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        Registry("function", TABLE)[name]
    assert str(caught.value) == message


def test_unknown_where_nothing_is_allowed() -> None:
    assert unknown("key", "a", []) == "unknown key 'a'; allowed: none"
    assert unknown("key", 3, ["3a"]) == "unknown key 3 (did you mean '3a'?); allowed: 3a"
