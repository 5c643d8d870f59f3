from pathlib import Path

from matplotlib.figure import Figure

from nas.analysis.plots.campaign import read
from nas.analysis.plots.lineage import ancestors, change, lineage
from tests.analysis.plots.campaigns import COST, ask, result, write

# number: parent, width, accuracy
FAMILY = {0: (None, 1, 0.3), 1: (None, 2, 0.5), 2: (1, 3, 0.6), 3: (1, 4, 0.4), 4: (2, 5, 0.9),
          5: (0, 6, 0.2), 6: (2, 7, None)}  # fmt: skip


def test_the_line_of_the_best_with_its_siblings(tmp_path: Path) -> None:
    records = []
    for number, (parent, width, accuracy) in FAMILY.items():
        trial = f"evolution-{number:04d}"
        note = {} if parent is None else {"parent": parent}
        records.append(ask(trial, note=note, genotype={"width": width}))
        told = {} if accuracy is None else {"validation_accuracy": accuracy}
        records.append(result(trial, **told))
    line = ancestors(read(write(tmp_path, records)))
    assert list(line["trial"]) == [f"evolution-{number:04d}" for number in (1, 2, 4)]
    assert list(line["value"]) == [0.5, 0.6, 0.9]
    assert list(line["change"]) == ["drawn at random", "width: 2 → 3", "width: 3 → 5"]
    assert list(line["siblings"]) == [[], [0.4], []]  # trial 6 failed: it has no value


def test_a_line_ends_at_what_the_search_started_from(tmp_path: Path) -> None:
    records = []
    for number, note in enumerate([{"initial": "resnet20"}, {"parent": 0, "mutation": "step"}]):
        trial = f"evolution-{number:04d}"
        records.append(ask(trial, note=note, genotype={"width": number}))
        records.append(result(trial, validation_accuracy=0.5 + number / 10))
    line = ancestors(read(write(tmp_path, records)))
    assert list(line["change"]) == ["starts as resnet20", "width: 0 → 1"]
    assert list(line["name"]) == ["resnet20", "trial 1"]
    assert list(line["mutation"]) == ["", "step"]
    assert list(line["macs"]) == [20_000, 20_000]


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts if text.get_text()]


def test_the_picture_says_name_change_value_and_cost_of_each(tmp_path: Path) -> None:
    records = []
    for number in range(50):
        trial = f"evolution-{number:04d}"
        note = {"parent": number - 1, "mutation": "step"} if number else {"initial": "lenet5"}
        cost = {**COST, "macs": 10_000 + number}
        records.append(ask(trial, note=note, genotype={"width": number}, cost=cost))
        records.append(result(trial, validation_accuracy=0.5 + number / 100))
    short = lineage(read(write(tmp_path / "short", records[:6])))
    assert isinstance(short, Figure)
    assert texts(short) == [
        "lenet5", "0.5000, 10,000 MACs",
        "step: width: 0 → 1", "trial 1", "0.5100, 10,001 MACs",
        "step: width: 1 → 2", "trial 2", "0.5200, 10,002 MACs",
    ]  # fmt: skip
    whole = lineage(read(write(tmp_path / "long", records)))
    assert isinstance(whole, Figure)
    found = texts(whole)
    assert found[:3] == ["lenet5", "0.5000, 10,000 MACs", "… 20 generations are not shown …"]
    assert found[3:5] == ["step: width: 20 → 21", "trial 21"]
    assert found[-2] == "trial 49"


def test_a_change_is_told_by_the_first_choice_that_differs() -> None:
    parent = {"depth": 1, "node0": "conv", "node1": None}
    assert change(parent, parent) == "nothing changed"
    assert change(parent, {**parent, "node1": "pool"}) == "node1: null → pool"
    assert change(parent, {"depth": 2, "node0": "conv"}) == "depth: 1 → 2 and 1 more"
    one = {"cell.nodes": 1, "cell.node0.operation": "conv"}
    two = {"cell.nodes": 2, "cell.node0.operation": "pool", "cell.node1.operation": "conv"}
    assert change(one, two) == "pool added to cell"
    assert change(two, one) == "pool removed from cell"
    assert change(one, {**two, "cell.node1.operation": "dense"}) == "cell.nodes: 1 → 2 and 2 more"
    assert change({"depth": 1}, {"depth": 1, "node0": "conv"}) == "node0: not asked → conv"
