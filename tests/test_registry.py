"""The table of names: imported late, complete in its messages."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from nas.errors import InputError
from nas.registry import Registry, unknown
from nas.user_code import sources

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
            "allowed: square_root, decimal, broken; or file.py:NAME or package.module:NAME",
        ),
        (
            "zzz",
            "unknown function 'zzz'; allowed: square_root, decimal, broken; "
            "or file.py:NAME or package.module:NAME",
        ),
    ],
)
def test_unknown_name(name: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        Registry("function", TABLE)[name]
    assert str(caught.value) == message


def test_unknown_where_nothing_is_allowed() -> None:
    assert unknown("key", "a", []) == "unknown key 'a'; allowed: none"
    assert unknown("key", 3, ["3a"]) == "unknown key 3 (did you mean '3a'?); allowed: 3a"


# --- parts that a user has written ---


def write(folder: Path, text: str, name: str = "mine.py") -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_a_users_file_or_module_may_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry("function", TABLE)
    file = write(tmp_path, "def double(x): return 2 * x\n")
    assert registry.find("mine.py:double", tmp_path)(3) == 6
    assert registry[f"{file}:double"](3) == 6
    monkeypatch.chdir(tmp_path.parent)
    assert registry[f"{tmp_path.name}/mine.py:double"](3) == 6
    assert registry["json.decoder:JSONDecoder"].__name__ == "JSONDecoder"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nine.py:x", "{0}/nine.py: cannot be read: No such file or directory"),
        ("mine.py:dubble", "part mine.py:dubble: unknown name 'dubble' (did you mean 'double'?); "
         "allowed: Incomplete, Mine, double"),
        ("mine.py:double", "part mine.py:double: must be a subclass of nas.Searcher, but is a "
         "function"),
        ("mine.py:Mine", "part mine.py:Mine: must be a subclass of nas.Searcher, but is the class "
         "Mine"),
        ("mine.py:Incomplete", "part mine.py:Incomplete: must define ask, tell"),
        ("torn.py:x", "part torn.py:x: torn.py:2: is not valid Python: invalid syntax"),
        ("no_such:x", "part no_such:x: no module 'no_such'; allowed: file.py:NAME or "
         "package.module:NAME"),
        ("mine.py:", "unknown part 'mine.py:'; allowed: none; or file.py:NAME or "
         "package.module:NAME"),
    ],
)  # fmt: skip
def test_a_part_that_is_not_there_or_is_of_the_wrong_kind(
    tmp_path: Path, name: str, message: str
) -> None:
    write(tmp_path, "x = 1\nx +* 2\n", "torn.py")
    write(
        tmp_path,
        "from nas.searchers import Searcher\ndef double(x): return 2 * x\nclass Mine: pass\n"
        "class Incomplete(Searcher): pass\n",
    )
    registry = Registry("part", {}, subclass_of="nas.searchers.base:Searcher")
    with pytest.raises(InputError) as caught:
        registry.find(name, tmp_path)
    assert str(caught.value) == message.format(tmp_path)


def test_a_part_that_must_be_an_object(tmp_path: Path) -> None:
    write(tmp_path, "from fractions import Fraction\nhalf = Fraction(1, 2)\none = 1\n")
    registry = Registry("fraction", {}, instance_of="fractions:Fraction")
    assert float(registry.find("mine.py:half", tmp_path)) == 0.5
    with pytest.raises(InputError, match=r"must be an instance of nas\.Fraction, but is an int$"):
        registry.find("mine.py:one", tmp_path)


def test_files_of_one_name_in_two_folders_stay_apart(tmp_path: Path) -> None:
    registry = Registry("function", {})
    for name in ("one", "two"):
        write(tmp_path / name, f"NAME = {name!r}\n", "helper.py")
        write(tmp_path / name / "lib", f"NAME = 'lib of {name}'\n", "part.py")
        write(
            tmp_path / name,
            "import lib.part\nfrom helper import NAME\nfrom . import helper as again\n"
            "def call():\n    import helper\n    from lib import part\n"
            "    return NAME, helper.NAME, again.NAME, lib.part.NAME, part.NAME\n",
        )
    calls = {name: registry.find("mine.py:call", tmp_path / name) for name in ("one", "two")}
    for name, call in calls.items():
        assert call() == (name, name, name, f"lib of {name}", f"lib of {name}")
    assert "helper" not in sys.modules


def test_a_file_replaces_no_module_of_another_origin(tmp_path: Path) -> None:
    write(tmp_path, "raise RuntimeError\n", "random.py")
    write(tmp_path, "raise RuntimeError\n", "numpy.py")
    write(tmp_path, "import numpy, random\ndef call(): return random.random() + numpy.pi\n")
    assert 3 < Registry("function", {}).find("mine.py:call", tmp_path)() < 5


def test_a_changed_file_is_loaded_anew_with_all_that_import_it(tmp_path: Path) -> None:
    registry = Registry("function", {})
    write(tmp_path, "NAME = 'before'\n", "helper.py")
    write(tmp_path, "import helper\ndef call(): return helper.NAME\n")
    call = registry.find("mine.py:call", tmp_path)
    assert registry.find("mine.py:call", tmp_path) is call
    write(tmp_path, "NAME = 'afterr'\n", "helper.py")
    assert registry.find("mine.py:call", tmp_path)() == "afterr"
    assert call() == "before"


def test_a_class_of_a_users_file_is_pickled(tmp_path: Path) -> None:
    text = "from dataclasses import dataclass\n@dataclass\nclass Point:\n    x: int\n"
    write(tmp_path, text)
    point = Registry("class", {}).find("mine.py:Point", tmp_path)(3)
    assert pickle.loads(pickle.dumps(point)) == point


def test_sources_are_all_files_of_the_folder_that_are_imported(tmp_path: Path) -> None:
    file = write(
        tmp_path, "import numpy, random\nfrom lib.part import x\ndef f():\n    import late\n"
    )
    write(tmp_path, "", "lib/__init__.py")
    write(tmp_path, "from .other import x\n", "lib/part.py")
    write(tmp_path, "x = 1\n", "lib/other.py")
    write(tmp_path, "import mine\n", "late.py")
    write(tmp_path, "", "random.py")
    write(tmp_path, "", "unused.py")
    found = sources(f"{file}:f")
    named = [path.relative_to(tmp_path.resolve()).as_posix() for path in found]
    assert named[0] == "mine.py"
    assert set(named) == {"mine.py", "lib/__init__.py", "lib/part.py", "lib/other.py", "late.py"}
    write(tmp_path, "x = 2\n", "lib/other.py")
    changed = {path.name for path, digest in sources(f"{file}:f").items() if found[path] != digest}
    assert changed == {"other.py"}


def test_sources_of_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "", "kit/__init__.py")
    write(tmp_path, "from kit.inner import x\nimport beside, nas\n", "kit/outer.py")
    write(tmp_path, "x = 1\n", "kit/inner.py")
    write(tmp_path, "", "beside.py")
    monkeypatch.syspath_prepend(tmp_path)
    names = {path.name for path in sources("kit.outer:x")}
    assert names == {"outer.py", "inner.py", "__init__.py", "beside.py"}
    assert {path.parent.name for path in sources("numpy.fft:fft")} >= {"fft", "numpy"}
