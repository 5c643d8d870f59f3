"""The last lines of `nas run`."""

from pathlib import Path

from nas.analysis.tables.ending import ending, proposals
from nas.analysis.tables.networks import campaign_table
from nas.campaigns.drive.run import run
from nas.cli import main
from tests.analysis.plots import campaigns as records
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
        if command[1] == "run" or command[-1] == "results/OTHER":
            continue
        if "--to" in command:  # these networks have no weights, which onnx needs
            command[-1] = "json"
            command += ["--out", str(folder / "best.json")]
        assert main(command[1:]) == 0


def test_without_a_completed_trial(folder: Path) -> None:
    toy.write(folder, toy.CAMPAIGN.replace("classics: [resnet20]", "classics: []"))
    path = folder / "records.jsonl"
    run(folder, evaluator="tests.campaigns.toy:evaluate")
    path.write_text(path.read_text().splitlines()[0] + "\n")
    assert "no results yet" in ending(folder)


def test_an_open_verdict_asks_for_seeds_and_a_nearly_as_good_network_is_proposed(
    folder: Path,
) -> None:
    accuracies = {"evolution-0000": 0.950, "evolution-0001": 0.947, "evolution-0002": 0.940}
    asked, costs = [], {"evolution-0000": 9000, "evolution-0001": 6000, "evolution-0002": 100}
    for number, (name, accuracy) in enumerate(accuracies.items()):
        cost = {**records.COST, "macs": costs[name]}
        asked += [records.ask(name, number=number, cost=cost)]
        asked += [records.result(name, validation_accuracy=accuracy)]
        asked += [records.retrained(name, "searched", 0, cost=cost)]
        told = {"validation_accuracy": accuracy, "test_accuracy": accuracy}
        asked += [records.result(f"final-{name}-seed0", **told)]
    asked += [records.retrained("lenet5", "classic", 0)]
    asked += [records.result("final-lenet5-seed0", validation_accuracy=0.9, test_accuracy=0.9)]
    records.write(folder, asked)
    (folder / "weights").mkdir()
    told = proposals(folder, campaign_table(folder))
    assert f"nas run {folder}" in told
    assert told[f"nas export {folder}:evolution-0001 --to onnx"] == (
        "within 0.5 % of the best by validation, with 33 % fewer MACs"
    )
    assert not any("evolution-0002" in command for command in told)
    assert told[f"nas export {folder}:best --to onnx"] == "the best network"

    asked[-1] = records.result("final-lenet5-seed0", validation_accuracy=0.96, test_accuracy=0.9)
    records.write(folder, asked)
    told = proposals(folder, campaign_table(folder))
    assert told[f"nas export {folder}:lenet5 --to onnx"] == "the best network (classic)"
    assert told[f"nas export {folder}:best --to onnx"] == "the best searched network"


def test_seeds_can_be_added_as_proposed(folder: Path) -> None:
    two = toy.CAMPAIGN.replace("classics:", "seeds: [0, 1], classics:")
    toy.write(folder, two)
    run(folder, evaluator="tests.campaigns.toy:evaluate")
    assert f"nas run {folder}" in proposals(folder, campaign_table(folder))
    toy.write(folder, two.replace("[0, 1]", "[0, 1, 2, 3]"))
    run(folder, evaluator="tests.campaigns.toy:evaluate")
    assert set(campaign_table(folder)["seeds"]) == {4}
