"""The last lines of `nas run`."""

from pathlib import Path

from nas.analysis.tables.ending import ending
from nas.campaigns.drive.run import run
from nas.cli import main
from tests.campaigns import toy


def test_verdict_table_and_what_to_do_next(folder: Path) -> None:
    toy.write(folder, toy.CAMPAIGN.replace("classics:", "seeds: [0, 1, 2], classics:"))
    run(folder, evaluator="tests.campaigns.toy:evaluate")
    verdicts, table, after = ending(folder).split("\n\n")
    first, *evidence = verdicts.splitlines()
    assert " the best classic, resnet20, with " in first
    assert evidence[0].startswith("    ")
    head, *rows = table.splitlines()
    assert head.split()[:2] == ["name", "kind"]
    assert any("resnet20" in row for row in rows)
    assert max(map(len, [*verdicts.splitlines(), head, *rows])) <= 100
    title, *commands = after.splitlines()
    assert title == "next:"
    assert f"nas report {folder}" in commands[0]
    for command in (line.partition("#")[0].split() for line in commands[:-1]):
        assert command[0] == "nas"
        if "--to" in command:  # these networks have no weights, which onnx needs
            command[-1] = "json"
            command += ["--out", str(folder / "best.json")]
        assert main(command[1:]) == 0


def test_without_a_completed_trial(folder: Path) -> None:
    toy.write(folder, toy.CAMPAIGN.replace("classics: [resnet20]", "classics: []"))
    records = folder / "records.jsonl"
    run(folder, evaluator="tests.campaigns.toy:evaluate")
    records.write_text(records.read_text().splitlines()[0] + "\n")
    assert "no results yet" in ending(folder)
