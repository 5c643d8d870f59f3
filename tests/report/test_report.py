"""What a report tells of records that are whole, half or none."""

import json
import os
import re
from collections import Counter
from html.parser import HTMLParser
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import torch

from nas import cli
from nas.campaigns.drive.run import run
from nas.campaigns.store.types import Header
from nas.errors import InputError
from nas.report.context import _counts, context
from nas.report.drawings import _grid
from nas.report.live import Server
from nas.report.page import write_report
from nas.report.specification import summary
from nas.tasks.classification import Classification
from tests.campaigns import toy
from tests.report.campaigns import synthetic, write


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attributes if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def data_of(page: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    assert found
    return json.loads(found[1])


def test_a_report_needs_nothing_but_itself(tmp_path: Path) -> None:
    page = write_report(write(tmp_path, synthetic(10))).read_text()
    links = Links()
    links.feed(page)
    assert links.found
    assert all(link.startswith(("#", "data:")) for link in links.found)
    assert not re.search(r"@import|url\(", page)


def test_its_data_are_the_records(tmp_path: Path) -> None:
    records = synthetic(30)
    data = data_of(write_report(write(tmp_path, records)).read_text())
    trials = {column["name"]: column["values"] for column in data["trials"]}
    asks = [record for record in records if record["type"] == "ask"]
    assert trials["trial"] == [ask["trial"] for ask in asks]
    assert trials["macs"] == [ask["cost"]["macs"] for ask in asks]
    best, expected = {"evolution": 0.0, "random": 0.0}, []
    results = [record for record in records if record["type"] == "result"]
    for ask, result in zip(asks, results, strict=True):
        accuracy = result["metrics"].get("validation_accuracy", 0.0)
        if ask["stage"] == "search" and accuracy > best[ask["search"]]:
            best[ask["search"]] = accuracy
            expected.append((ask["search"], ask["number"] + 1, round(accuracy, 6)))
    drawn = [
        (search, trial, value)
        for search, curve in data["incumbents"]["searches"].items()
        for trial, value in zip(curve["trial"][:-1], curve["value"][:-1], strict=True)
    ]
    assert sorted(drawn) == sorted(expected)


def test_what_records_say_is_text_and_never_markup(tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script>"
    records = synthetic(6, failed=1.0, finals=0)
    for record in records:
        if record["type"] == "result":
            record["error"] = record["cause"] = evil
    page = write_report(write(tmp_path, records)).read_text()
    assert evil not in page
    links = Links()
    links.feed(page)
    assert evil in links.text  # the failure is told


def test_failed_trials_alone_give_a_partial_report(tmp_path: Path) -> None:
    shown = context(write(tmp_path, synthetic(8, finals=0, failed=1.0)))
    assert shown["partial"][0] == "no trial has completed (8 failed), so there are no results"
    assert [(f["cause"], f["count"]) for f in shown["failures"]] == [("out of memory", 8)]
    assert shown["failures"][0]["last"] == "RuntimeError: <b>out of memory</b>"
    page = write_report(tmp_path).read_text()
    assert "Partial report" in page


def test_a_half_finished_campaign_says_what_is_left(tmp_path: Path) -> None:
    write(tmp_path, synthetic(8, finals=0)[:-1])
    budget = {"budget": {"trials": 6}, "final": {"top": 1, "seeds": [0, 1], "classics": ["lenet5"]}}
    (tmp_path / "resolved.json").write_text(json.dumps({"campaign": budget}))
    assert context(tmp_path)["partial"] == [
        "1 trial started, but not ended: running or interrupted",
        "evolution: 4 of 6 trials started",
        "random: 4 of 6 trials started",
        "classics: 0 of 2 trainings started",
        "the final stage has no searched network yet, so values are those of the search",
    ]


def test_a_finished_campaign_is_not_partial(tmp_path: Path) -> None:
    write(tmp_path, synthetic(8))
    budget = {"budget": {"trials": 4}, "final": {"top": 3, "seeds": [0, 1, 2], "classics": ["l"]}}
    (tmp_path / "resolved.json").write_text(json.dumps({"campaign": budget}))
    shown = context(tmp_path)
    assert shown["partial"] == []
    assert [leader["kind"] for leader in shown["leaders"]] == ["searched", "classic", "random"]


def test_the_checklist_says_what_was_recorded_and_no_more(tmp_path: Path) -> None:
    write(tmp_path, synthetic(8))
    answers = {
        item.practice: item.answer
        for items in context(tmp_path)["checklist"].values()
        for item in items
    }
    assert len(answers) == 16
    assert answers["Comparison with random search"] == "yes"
    assert (
        answers["The code of the NAS method, by its commit"] == "not recorded"
    )  # there is no resolved.json
    assert answers["Ablation studies"] == "not recorded"
    environment = {"git": {"commit": "a" * 40, "modified": True}}
    (tmp_path / "resolved.json").write_text(json.dumps({"environment": environment}))
    items = context(tmp_path)["checklist"]["Releasing code"]
    assert items[0].answer == "no"
    assert "uncommitted" in items[0].reason


def test_the_networks_of_the_table_are_drawn(tmp_path: Path) -> None:
    folder = toy.write(tmp_path / "campaign")
    run(folder, evaluator=f"{toy.HERE}:evaluate")
    shown = context(folder)
    assert shown["partial"] == []
    assert shown["undrawn"] == ""
    rows = {column["name"]: column["values"] for column in shown["data"]["rows"]}
    assert set(shown["drawings"]) == set(rows["name"])
    costs = dict(zip(rows["name"], rows["params"], strict=True))
    for name, drawn in shown["drawings"].items():
        described = ElementTree.fromstring(drawn.network).findtext("{*}desc")
        assert described is not None
        assert word_of(costs[name]) in described
        boxes = re.findall('data-nodes="([^"]+)"', drawn.network)
        assert set(" ".join(boxes).split()) == set(drawn.nodes)
        assert sum(int(facts[2].replace(",", "")) for facts in drawn.nodes.values()) == costs[name]
    (folder / "campaign.yaml").unlink()
    assert "campaign.yaml" in context(folder)["undrawn"]


def word_of(params: int) -> str:
    """A count as drawings write it, of fewer than a million."""
    return f"{params} params" if params < 1000 else f"{params / 1000:.3g}K params"


def test_no_records_and_an_older_schema_are_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["report", str(tmp_path)]) == 2
    assert "no records yet" in capsys.readouterr().err
    write(tmp_path, synthetic(2, finals=0), schema=1)
    for arguments in (["report", str(tmp_path)], ["report", "--live", str(tmp_path)]):
        assert cli.main(arguments) == 2
        assert "this program reads schema 2 and 3, got 1" in capsys.readouterr().err
    assert not (tmp_path / "report.html").exists()


def test_the_server_reads_only_here_and_only_these_two(tmp_path: Path) -> None:
    folder = write(tmp_path, synthetic(4, finals=0))
    with Server(folder, 0) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()

        def asked(path: str, method: str = "GET", host: str = "") -> int:
            connection = HTTPConnection("127.0.0.1", server.server_port)
            headers = {"Host": host} if host else {}
            connection.request(method, path, headers=headers)
            return connection.getresponse().status

        try:
            assert server.server_address[0] == "127.0.0.1"
            assert (asked("/"), asked("/state")) == (200, 200)
            assert asked("/records.jsonl") == asked("/../etc/passwd") == 404
            assert asked("/", "POST") == asked("/", "DELETE") == 501
            assert asked("/", host="evil.example:80") == 403
            with pytest.raises(InputError, match="--port"):
                Server(folder, server.server_port)
        finally:
            server.shutdown()
            thread.join()
    assert {path.name for path in folder.iterdir()} == {"records.jsonl"}


@pytest.fixture
def two(tmp_path: Path) -> list[Path]:
    folders = [tmp_path / name for name in ("a", "b & <b>")]
    for folder, trials in zip(folders, (8, 12), strict=True):
        folder.mkdir()
        write(folder, synthetic(trials))
    return folders


def test_several_campaigns_are_one_page(
    two: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_report(two[0])
    page = write_report(two, tmp_path / "out.html").read_text()
    data = data_of(page)
    rows = {column["name"]: column["values"] for column in data["rows"]}
    alone = [data_of(write_report(folder).read_text()) for folder in two]
    assert Counter(rows["name"]) == Counter(
        f"{folder.name}:{name}"
        for folder, own in zip(two, alone, strict=True)
        for name in next(each["values"] for each in own["rows"] if each["name"] == "name")
    )
    assert set(rows["campaign"]) == {"a", "b & <b>"}
    trials = {column["name"]: column["values"] for column in data["trials"]}
    assert len(trials["trial"]) == len(set(trials["trial"])) == 8 + 12 + 2 * 15
    assert set(data["labels"].values()) == set(rows["name"])
    assert set(data["curves"]) <= set(trials["trial"])
    assert set(data["incumbents"]["searches"]) == {
        f"{folder.name}:{search}" for folder in two for search in ("evolution", "random")
    }
    assert data["links"] == {"a": "a/report.html"}
    assert "<b>" not in page.partition("application/json")[0]
    monkeypatch.chdir(tmp_path)
    assert cli.main(["report", *map(str, two)]) == 0
    assert (tmp_path / "report.html").exists()


def test_a_page_of_one_folder_twice_or_of_none_is_bad_input(
    two: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, words in (
        (["report", str(two[0]), str(two[0])], "a folder is given twice"),
        (["report", "--live", *map(str, two)], "--live: follows one campaign"),
        (["report", str(two[0]), str(tmp_path)], "no records yet"),
        (["serve", str(tmp_path / "missing")], "there is no such folder"),
    ):
        assert cli.main(arguments) == 2
        assert words in capsys.readouterr().err


def test_all_campaigns_of_a_folder_are_listed_and_nothing_else_is_served(
    two: list[Path], tmp_path: Path
) -> None:
    root = tmp_path / "served"
    root.mkdir()
    for folder in two:
        folder.rename(root / folder.name)
    hostile = [
        root / "<script>alert(1)<",
        root / os.fsdecode(b"\xff\n"),
        root / "50%2f..",
        root / "new",
    ]
    for folder in hostile:
        folder.mkdir()
        write(folder, synthetic(4, finals=0))
    (root / "new" / "records.jsonl").rename(root / "new" / "campaign.yaml")
    (root / "50%2f.." / "records.jsonl").write_text("{")
    (tmp_path / "outside").mkdir()
    write(tmp_path / "outside", synthetic(4))
    (root / "link").symlink_to(tmp_path / "outside")
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    with Server(root, 0, several=True) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()

        def asked(path: str) -> tuple[int, str]:
            connection = HTTPConnection("127.0.0.1", server.server_port)
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")

        try:
            status, page = asked("/")
            data = data_of(page)
            told = {column["name"]: column["values"] for column in data["campaigns"]}
            states = dict(zip(told["name"], told["state"], strict=True))
            assert status == 200
            assert len(states) == 6
            assert states["new"] == "not started"
            assert states["50%2f.."].startswith("cannot be read: ")
            assert "<script>alert" not in page
            for name, address in data["links"].items():
                readable = not states[name].startswith("cannot")
                assert asked(f"/{address}")[0] == (200 if readable else 503), name
                assert asked(f"/{address}state")[0] == 200
            state = json.loads(asked("/state")[1])["state"]
            assert state == data["state"]
            outside = [
                "/link/",
                "/outside/",
                "/../outside/",
                "/%2e%2e/outside/",
                "/a/../../outside/",
            ]
            for path in [*outside, "/a/records.jsonl", "/a", "/a//", "/a/state/"]:
                assert asked(path)[0] == 404, path
            write(root / "a", synthetic(10))
            assert json.loads(asked("/state")[1])["state"] != state
        finally:
            server.shutdown()
            thread.join()
    after = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    changed = {root / "a", root / "a" / "records.jsonl"}
    assert {path for path in before | after if before.get(path) != after.get(path)} <= changed


def test_errors_by_class_are_those_of_all_seeds(tmp_path: Path) -> None:
    records = synthetic(6)
    draw, task = torch.Generator().manual_seed(0), Classification()
    pairs: Counter[tuple[int, int]] = Counter()
    for record in records:
        if record["type"] == "result" and record["trial"].startswith("final-lenet5"):
            scores, targets = torch.rand(50, 3, generator=draw), torch.arange(50) % 3
            test = task.concise(task.evaluate(scores.softmax(1), targets))
            record["metrics"]["evaluations"] = {"single": {"test": test}}
            record["metrics"]["preprocessing"] = {"classes": ["<i>", "b", "c"]}
            pairs.update(zip(targets.tolist(), scores.argmax(1).tolist(), strict=True))
    [found] = context(write(tmp_path, records))["confusions"]
    assert (found.name, found.classes) == ("lenet5", ["<i>", "b", "c"])
    for truth, row in enumerate(found.rows):
        assert [count for count, _ in row] == [str(pairs[truth, each]) for each in range(3)]
        all_of = sum(pairs[truth, each] for each in range(3))
        assert found.recall[truth] == f"{pairs[truth, truth] / all_of:.3f}"
    assert found.about.startswith("3 seeds, expected calibration error 0.")
    assert "<i>" not in write_report(tmp_path).read_text()


def test_the_surest_mistakes_are_shown() -> None:
    images = np.arange(4, dtype=np.uint8)[:, None, None, None] * np.ones((1, 1, 2, 2), np.uint8)
    predictions = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]])
    shown = Classification().pictures(images, predictions, torch.tensor([0, 1, 0, 1]), ["a", "b"])
    assert [list(each) for each in shown] == [["a, taken for b"], ["b, taken for a"]]
    assert [np.unique(picture)[0] for each in shown for picture in each.values()] == [2, 1]


def test_a_kernel_is_grey_at_zero_and_white_at_its_largest_weight() -> None:
    weights = np.repeat(np.array([-2.0, 0.0, 2.0, 1.0], np.float32), 4).reshape(4, 1, 2, 2)
    pixels = np.asarray(_grid(weights))[..., 0]
    factor = pixels.shape[1] // 24  # eight kernels of two pixels, and one between them
    assert [pixels[0, 3 * i * factor] for i in range(5)] == [1, 128, 255, 192, 255]


def test_the_first_line_counts_trials_by_what_became_of_them() -> None:
    every = pd.DataFrame({"status": ["completed"] * 1200 + ["duplicate"] * 2 + ["failed"]})
    assert _counts(every) == "1,203 trials: 1,200 completed, 1 failed, 2 duplicates"
    assert _counts(every.tail(2)) == "2 trials: 1 failed, 1 duplicate"


def test_limits_are_told_as_limits_and_the_fitted_choice_is_not() -> None:
    given = {
        "macs": 800_000,
        "fit": "multiplier",
        "latency_ms": {"limit": 5.0, "profile": "p.json"},
    }
    campaign = Header.model_validate(
        {"time": 0.0, "schema": 3, "specification": {"constraints": given}}
    )
    assert dict(summary(campaign, {}))["Constraints"] == (
        "macs ≤ 800,000, multiplier fitted to the limits, latency_ms ≤ 5.0"
    )
