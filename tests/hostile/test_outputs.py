"""A disk that is full: every output is whole or not there, and the old file stays."""

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nas.campaigns.drive.run import run
from nas.cli import main
from nas.errors import CampaignError, InputError
from nas.files import meant_for, output_folder, write_output, write_whole
from tests.campaigns.toy import HERE, write


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A campaign that has ended."""
    folder = write(tmp_path_factory.mktemp("finished") / "c")
    run(folder, evaluator=f"{HERE}:epochs")
    return folder


@pytest.fixture
def campaign(finished: Path, tmp_path: Path) -> Path:
    """A copy of the campaign that has ended."""
    shutil.copytree(finished, tmp_path / "c2")
    return shutil.copytree(finished, tmp_path / "c")


def listed(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


OUTPUTS = {
    "table": ["table", "{c}", "--out", "{out}.csv"],
    "parquet": ["table", "{c}", "--out", "{out}.parquet"],
    "compare": ["compare", "{c}", "{c}2", "--out", "{out}.md"],
    "plot": ["plot", "{c}", "--kind", "incumbent"],
    "plot to a folder": ["plot", "{c}", "--kind", "incumbent", "--out", "{out}.d"],
    "report": ["report", "{c}"],
    "report to a file": ["report", "{c}", "--out", "{out}.html"],
    "show": ["show", "resnet20", "--svg", "{out}.svg"],
    "python": ["export", "lenet5", "--to", "python", "--out", "{out}.py"],
    "json": ["export", "lenet5", "--to", "json", "--out", "{out}.json"],
    "torchscript": ["export", "lenet5", "--to", "torchscript", "--out", "{out}.torchscript"],
    "card": ["export", "{c}:best", "--to", "card", "--out", "{out}.md"],
    "optuna": ["export", "{c}", "--to", "optuna", "--out", "{out}.db"],
    "tensorboard": ["export", "{c}", "--to", "tensorboard", "--out", "{out}.tb"],
    "new": ["new", "{out}.new"],
}


def command(name: str, campaign: Path) -> list[str]:
    out = campaign.parent / "out"
    return [part.format(c=campaign, out=out) for part in OUTPUTS[name]]


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_full_disk_is_one_message_and_leaves_what_was_there(
    name: str, campaign: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The limit on the size of files makes writing fail as a full disk does."""
    endings = ["csv", "parquet", "md", "html", "svg", "py", "json", "torchscript"]
    names = [f"out.{ending}" for ending in endings]
    for old in names:
        (campaign.parent / old).write_text("old")
    (campaign / "report.html").write_text("old")
    (campaign / "plots").mkdir()
    (campaign / "plots" / "incumbent.svg").write_text("old")
    before = listed(campaign.parent)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
    try:
        code = main(command(name, campaign))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    said = capsys.readouterr().err
    assert code in (1, 2)
    assert said.startswith("nas: ")
    assert "Traceback" not in said
    assert [each for each in listed(campaign.parent) if each not in before] in (
        [], ["out.d"], ["out.new"]
    )  # fmt: skip
    for old in (*(campaign.parent / each for each in names), campaign / "report.html",
                campaign / "plots" / "incumbent.svg"):  # fmt: skip
        assert old.read_text() == "old"


@pytest.mark.parametrize("name", ["table", "report to a file", "optuna", "tensorboard", "card"])
def test_outputs_are_written(name: str, campaign: Path) -> None:
    assert main(command(name, campaign)) == 0
    assert main(command(name, campaign)) == (2 if name in ("optuna", "tensorboard") else 0)
    assert not [each for each in listed(campaign.parent) if ".part" in each]


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="no /dev/full here")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("given", ["classics", "table {c}", "--version", "run --help"])
def test_a_full_output_is_one_message(given: str, unbuffered: str, campaign: Path) -> None:
    arguments = [part.format(c=campaign) for part in given.split()]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "nas.cli", *arguments],
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "nas: the output cannot be written: No space left on device\n"


@pytest.mark.parametrize("form", ["python", "onnx", "torchscript"])
def test_an_export_does_not_take_the_place_of_a_pipe(
    tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(pipe := tmp_path / "pipe")
    assert main(["export", "lenet5", "--to", form, "--out", str(pipe)]) == 2
    assert "is a device or a pipe" in capsys.readouterr().err
    assert pipe.is_fifo()


@pytest.mark.parametrize("place", ["/dev/stdout", "pipe"])
def test_a_device_or_a_pipe_is_written_to_and_stays(tmp_path: Path, place: str) -> None:
    if place == "pipe":
        os.mkfifo(tmp_path / "pipe")
    path = Path(place) if place.startswith("/") else tmp_path / place
    program = f"from nas.files import *; write_output(Path({str(path)!r}), 'text')"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        read = path.read_text() if place == "pipe" else process.communicate()[0].decode()
    assert read == "text"
    assert path.is_symlink() or path.is_fifo()


def test_a_named_link_is_followed_and_its_permissions_are_those_of_new_files(
    tmp_path: Path,
) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_output(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"
    (tmp_path / "usual").write_text("")
    assert (tmp_path / "real").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_an_interrupted_write_leaves_a_file_whose_name_says_what_it_was_meant_for(
    tmp_path: Path,
) -> None:
    program = (
        "import os; from pathlib import Path; from nas import files\n"
        "files.sync = lambda path: os._exit(1)\n"
        f"files.write_whole(Path({str(tmp_path / 'a-0001.pt')!r}), b'new')"
    )
    subprocess.run([sys.executable, "-c", program], check=False)
    (left,) = tmp_path.iterdir()
    assert left.name != "a-0001.pt"
    assert meant_for(left) == tmp_path / "a-0001.pt"


def test_a_folder_is_filled_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), output_folder(tmp_path / "out") as made:
        (made / "file").write_text(str(1 / 0))
    assert listed(tmp_path) == []
    with output_folder(tmp_path / "deep" / "out") as made:
        (made / "file").write_text("whole")
    assert listed(tmp_path) == ["deep", "deep/out", "deep/out/file"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x" / "y" / "file"
    with pytest.raises(InputError, match=r"x/y/file: No such file or directory"):
        write_output(path, b"")
    with pytest.raises(CampaignError, match=r"x/y/file: cannot be written: No such file"):
        write_whole(path, b"")
