"""Spaces that users write in Python: how they are found, and what is said of their mistakes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nas
from nas.errors import InputError
from nas.spaces.python_space import definition
from nas.spaces.search_space import Size

SPACE = """
import nas

def space(choose, *, input_shape, classes):
    width = choose("width", [8, 16, 32])
    kernels = [choose(f"kernel{i}", [1, 3]) for i in range(choose("layers", [1, 2]))]

    def build():
        g = nas.Builder(input_shape)
        x = g.input
        for kernel in kernels:
            x = g.relu(g.conv(x, width, kernel=kernel, padding="same"))
        return g.build(g.linear(g.global_pool(x), classes))

    return build
"""


def write(folder: Path, text: str = SPACE, name: str = "mine.py") -> str:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return f"{folder / name}:space"


def draw(name: str, **options: object) -> nas.Architecture:
    space = nas.space(name, (3, 8, 8), 4, **options)
    return space.decode(space.sample(np.random.default_rng(0)))


def decode_all(name: str) -> None:
    space = nas.space(name)
    for genotype in space.enumerate():
        space.decode(genotype)


def test_a_function_in_a_file_is_a_space(tmp_path: Path) -> None:
    space = nas.space(write(tmp_path), input_shape=(1, 8, 8), classes=3)
    assert space.name == "mine.py:space"
    assert space.size() == Size(3 * (2 + 4), exact=True)
    genotype = space.sample(np.random.default_rng(0))
    architecture = space.decode(genotype)
    assert (architecture.input_shape, architecture.output_shape) == ((1, 8, 8), (3,))
    assert space.from_string(space.to_string(genotype)) == genotype


def test_a_function_in_a_module_of_the_current_folder_is_a_space(tmp_path: Path) -> None:
    write(tmp_path / "my_package", name="spaces.py")
    (tmp_path / "my_package" / "__init__.py").touch()
    for name in ("my_package.spaces:space", "my_package/spaces.py:space"):
        command = [str(Path(sys.executable).parent / "nas"), "sample", name, "--seed", "3"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith('{"width": ')


def test_a_changed_file_is_read_anew_and_is_another_space(tmp_path: Path) -> None:
    name = write(tmp_path)
    before = definition(name)
    assert definition(name) == before
    assert before["python"] == "mine.py:space"
    write(tmp_path, SPACE.replace("[8, 16, 32]", "[8, 16, 64]"))
    assert definition(name)["source"] != before["source"]
    assert any(g["width"] == 64 for g in nas.space(name).enumerate())


def test_an_architecture_may_be_returned_and_neighbouring_files_imported(tmp_path: Path) -> None:
    write(tmp_path, SPACE.replace("return build", "return build()"), "neighbour_of_space.py")
    name = write(tmp_path, "from neighbour_of_space import space", "outer.py")
    assert draw(name).output_shape == (4,)


def test_a_function_that_decides_its_input_need_not_take_it(tmp_path: Path) -> None:
    text = SPACE.replace(", *, input_shape, classes", "").replace("input_shape", "(1, 6, 6)")
    assert draw(write(tmp_path, text.replace("classes", "2"))).input_shape == (1, 6, 6)


def test_other_keyword_arguments_are_options(tmp_path: Path) -> None:
    text = SPACE.replace("classes):", "classes, widths: tuple[int, ...] = (8,), deep=1):")
    text = text.replace("[8, 16, 32]", "widths")
    name = write(tmp_path, text)
    assert nas.space(name).size().count == 6
    assert nas.space(name, widths=[3, 5]).size().count == 12
    with pytest.raises(InputError, match=r"^space mine.py:space: width: unknown key 'width' \(did"):
        nas.space(name, width=[3])
    with pytest.raises(InputError, match=r"space mine.py:space: widths.0: .*integer, got '8'"):
        nas.space(name, widths=["8"])
    required = write(tmp_path, text.replace("deep=1", "deep, steep"))
    with pytest.raises(InputError, match=r"^space mine.py:space: needs the options deep, steep$"):
        nas.space(required, widths=[1])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("{0}/nine.py:space", "nine.py: cannot be read: No such file or directory"),
        ("{0}/mine.py:spaec", "mine.py:spaec: unknown name 'spaec' (did you mean 'space'?); "
         "allowed: space"),
        ("{0}/mine.py:nas", "space mine.py:nas: must be a function, but is a module"),
        ("no_such.module:space", "space no_such.module:space: no module 'no_such'; allowed: "
         "file.py:NAME or package.module:NAME"),
        ("nas.no_such:space", "space nas.no_such:space: no module 'nas.no_such'; allowed: file.py"),
        (":space", "unknown space ':space'; allowed: "),
        (".mine:space", "unknown space '.mine:space'; allowed: "),
        ("mine.py", "unknown space 'mine.py'; allowed: "),
    ],
)  # fmt: skip
def test_a_name_that_leads_nowhere(tmp_path: Path, name: str, said: str) -> None:
    write(tmp_path)
    with pytest.raises(InputError) as caught:
        nas.space(name.format(tmp_path))
    assert said in str(caught.value)


BUILD = "        x = g.relu("
MISTAKES = [
    ("def space(choose, *", "def space(*", "space mine.py:space: must take one argument, choose, "
     "and options after a *, as in `def space(choose, *, input_shape, classes)`; it takes "
     "(*, input_shape, classes)"),
    ("(choose, *, ", "(choose, ", "it takes (choose, input_shape, classes)"),
    ("f\"kernel{i}\"", "\"kernel\"", "mine.py:6: space mine.py:space: choice 'kernel' is asked "
     "twice"),
    ("[1, 3]", "[True, False]", "mine.py:6: space mine.py:space: choice 'kernel0': option True is "
     "not a str, int, float or None"),
    ("[8, 16, 32]", "range(0)", "mine.py:5: space mine.py:space: choice 'width': no options"),
    ("    return build\n", "", "space mine.py:space: returns a NoneType; it must return an "
     "Architecture, which Builder.build makes, or a function of no arguments that returns one"),
    ("g.build(", "(", "space mine.py:space: returns a function that returns a Handle; it must"),
    ("padding=\"same\"", "groups=9", "mine.py:12: space mine.py:space: node 'conv1': conv: "
     "groups must divide the channels"),
    ("def space(", "def space((", "mine.py:4: is not valid Python: "),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "said"), MISTAKES, ids=[new for _, new, _ in MISTAKES])
def test_a_mistake_in_a_space_is_named_with_its_line(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    text = SPACE.replace(old, new)
    assert text != SPACE
    name = write(tmp_path, text)
    with pytest.raises(InputError) as caught:
        decode_all(name)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "kind", "note"),
    [
        ("    width = ", "    width = 1 / 0 or ", ZeroDivisionError,
         "raised by space mine.py:space; answers: {}"),
        ("    kernels = [", "    kernels = [1 / (width > 99) or ", ZeroDivisionError,
         "raised by space mine.py:space, after choice 'layers'; answers: {'width': "),
        ("        x = g.input", "        x = g.inptu", AttributeError,
         "raised by space mine.py:space, after choice 'kernel"),
        ("import nas", "import nas, no_such_module", ModuleNotFoundError, None),
        ("import nas", "import nas\n1 / 0", ZeroDivisionError, None),
    ],
)  # fmt: skip
def test_a_bug_in_a_space_keeps_its_traceback(
    tmp_path: Path, old: str, new: str, kind: type[Exception], note: str | None
) -> None:
    name = write(tmp_path, SPACE.replace(old, new, 1))
    with pytest.raises(kind) as caught:
        draw(name)
    assert any(str(entry.path).endswith("mine.py") for entry in caught.traceback) or not note
    if note:
        assert caught.value.__notes__[0].startswith(note)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("{'a', 'b'}", "options in a set have no order, so no seed repeats them; give a list"),
        ("frozenset([1, 2])", "options in a set have no order"),
        ("iter([1, 2])", "options must be a list, which can be read more than once"),
        ("['\\udc80']", "holds a surrogate, which is no character"),
    ],
)
def test_options_that_no_run_can_repeat(options: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(f"def space(choose):\n    choose('x', {options})\n")
    with pytest.raises(InputError, match=f"mine.py:2: .*{said}"):
        nas.space(f"{path}:space").sample(np.random.default_rng(0))
