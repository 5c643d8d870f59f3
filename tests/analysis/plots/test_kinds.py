from pathlib import Path

import pytest
from matplotlib.figure import Figure

from nas.analysis.plots.campaign import Campaign, read
from nas.analysis.plots.kinds import FORMATS, KINDS, figure
from nas.analysis.plots.style import picture
from nas.cli import main
from tests.analysis.plots.campaigns import ask, result, rich, write

pytestmark = pytest.mark.xdist_group("plots")  # one fixture for all

BEGIN = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    return read(rich(tmp_path_factory.mktemp("rich") / "campaign"))


@pytest.mark.parametrize("kind", KINDS)
def test_each_is_drawn_in_each_format(kind: str, campaign: Campaign) -> None:
    drawn = figure(kind, campaign)
    assert isinstance(drawn, Figure)
    for form in FORMATS:
        assert picture(drawn, form).startswith(BEGIN[form])


def test_a_command_writes_them_beside_the_records(
    campaign: Campaign, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = rich(tmp_path / "mine")
    assert main(["plot", str(folder), "--kind", "ranks", "importance"]) == 0
    assert [path.name for path in sorted((folder / "plots").iterdir())] == [
        "importance.svg", "ranks.svg",
    ]  # fmt: skip
    out = tmp_path / "deep" / "er"
    assert main(["plot", str(folder), "--kind", "ranks", "--format", "pdf", "--out", str(out)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"wrote {out / 'ranks.pdf'}"


@pytest.mark.parametrize(
    "records",
    [
        [],
        [ask("random-0000", time=1.0)],
        [ask("random-0000"), result("random-0000")],
        [ask("random-0000"), result("random-0000", validation_accuracy=0.5)],
    ],
    ids=["no trial", "unfinished", "failed", "one"],
)
def test_what_cannot_be_shown_is_said_and_left_out(
    records: list[dict[str, object]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(tmp_path / "mine", records)
    assert main(["plot", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(KINDS)
    written = {line.rpartition("/")[2] for line in lines if line.startswith("wrote ")}
    assert written == {p.name for p in (folder / "plots").glob("*")}
    told = dict(line.split(": left out: ") for line in lines if not line.startswith("wrote "))
    assert told["mixtures"] == "nothing was searched by gradients"
    assert told["lineage"] == "the searcher tells no parents"
    assert told["fidelities"] == "one fidelity: every search trial was trained alike"
    assert told["hypervolume"] == "one objective, validation_accuracy: a hypervolume needs several"
    assert told["importance"].endswith(": importance needs ten")
    assert told["ranks"].startswith("0 finalists")
    assert ("incumbent" in told) == (written == set())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--kind", "rank"], "nas: --kind: unknown plot 'rank'"),
        (["--format", "jpg"], "nas: --format: unknown format 'jpg'"),
    ],
)
def test_what_is_not_known_is_told(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(tmp_path / "mine", [])
    assert main(["plot", str(folder), *arguments]) == 2
    assert capsys.readouterr().err.startswith(message)


def test_a_folder_without_records_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plot", str(tmp_path)]) == 2
    assert "no records yet" in capsys.readouterr().err


def test_the_help_names_every_kind(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["plot", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert ", ".join(KINDS) in shown
