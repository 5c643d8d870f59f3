import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nas.campaigns.store.history import History
from nas.campaigns.store.log import RecordLog, read_records
from nas.campaigns.store.types import (
    SCHEMA,
    Ask,
    Header,
    Record,
    Result,
    from_line,
    to_line,
)
from nas.errors import CampaignError, InputError

RESULT = {"status": "completed", "metrics": {"a": 0.5}, "error": None, "seconds": 1.0}
COST = {"params": 1, "macs": 2, "flops": 3, "activations": 4}
ASK = {
    "stage": "search", "kind": "searched", "search": "a", "number": 0, "note": {}, "genotype": {},
    "seed": 0, "fingerprint": "f", "cost": COST,
}  # fmt: skip


def line(record_type: str, **changes: object) -> bytes:
    fields = {"ask": ASK, "result": RESULT}[record_type]
    return json.dumps({"type": record_type, "trial": "x", **fields, **changes}).encode()


def result(trial: str) -> Result:
    return Result(trial=trial, **RESULT)


def fill(folder: Path) -> bytes:
    with RecordLog(folder) as log:
        log.append(Header(schema=SCHEMA, specification={"name": "Größe"}))
        log.append(result("a-0000"))
        log.append(result("a-0001"))
    return (folder / "records.jsonl").read_bytes()


def test_a_line_is_synced_to_the_disk_when_append_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "records.jsonl"
    synced = []
    with RecordLog(tmp_path) as log:
        first = log.append(Header(schema=SCHEMA, specification={}))
        monkeypatch.setattr("os.fsync", lambda descriptor: synced.append(path.read_bytes()))
        second = log.append(result("a-0000"))
        assert synced == [path.read_bytes()]
        assert [from_line(line, "") for line in synced[0].splitlines()] == [first, second]


def test_a_log_cut_at_any_byte_keeps_its_whole_lines(tmp_path: Path) -> None:
    content = fill(tmp_path)
    path, torn = tmp_path / "records.jsonl", tmp_path / "records.torn"
    whole = read_records(tmp_path)
    starts = [0, *(m.end() for m in re.finditer(rb"\n", content))]
    for end in range(len(content)):
        path.write_bytes(content[:end])
        torn.unlink(missing_ok=True)
        lines = content[:end].split(b"\n")
        # A line that lacks nothing but its end is whole.
        complete = len(lines) - 1 + (content[end : end + 1] == b"\n")
        assert read_records(tmp_path) == whole[:complete]
        with RecordLog(tmp_path) as log:
            assert list(log.earlier()) == whole[:complete]
        assert path.read_bytes() == content[: starts[complete]]
        rest = lines[-1] if complete < len(lines) else b""
        assert log.torn == len(rest)
        assert (torn.read_bytes() if torn.exists() else b"") == (rest and rest + b"\n")


def test_a_last_line_of_rubbish_is_set_aside(tmp_path: Path) -> None:
    content = fill(tmp_path)
    (tmp_path / "records.jsonl").write_bytes(content + b"\0" * 100 + b"\n")
    with RecordLog(tmp_path) as log:
        assert len(list(log.earlier())) == 3
        log.append(result("a-0002"))
    assert len(read_records(tmp_path)) == 4


def earlier(folder: Path) -> list[Record]:
    with RecordLog(folder) as log:
        return list(log.earlier())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "is corrupt"),
        (b"\xff", "is corrupt"),
        (b"[]", "is a JSON object"),
        (b'{"type":"reslut"}', "unknown record type 'reslut' (did you mean 'result'?)"),
        (b'{"type":"result","trial":"x"}', "status: Field required"),
        (
            b'{"type":["ask"]}',
            "unknown record type ['ask'] (did you mean 'ask'?); allowed",
        ),
        (
            line("result", status="foo"),
            "status: Input should be 'completed', 'failed' or 'stopped', got 'foo",
        ),
        (line("result", metrics=None), "metrics: must be a mapping of keys to values, got None"),
        (line("result", error=3), "error: Input should be a valid string, got 3"),
        (line("ask", cost=None), "cost: must be a mapping of keys to values, got None"),
        (line("ask", cost={"params": 1}), "cost.macs: Field required"),
        (line("ask", stage="foo"), "stage: Input should be 'search' or 'final', got 'foo'"),
        (
            line("ask", stage="final"),
            "label missing, which an ask of stage final and kind searched",
        ),
        (line("ask", kind="classic"), "classic, options missing, which"),
        (line("ask", label=None), "label: Input should be a valid string, got None"),
        (line("ask", note=None), "note: must be a mapping of keys to values, got None"),
        (line("ask", seed=-1), "seed: Input should be greater than or equal to 0, got -1"),
        (b'{"type":"campaign","schema":3,"specification":{}}', "the first record, and no other"),
    ],
)
def test_a_corrupt_line_in_the_middle_is_named(
    tmp_path: Path, content: bytes, message: str
) -> None:
    lines = fill(tmp_path).split(b"\n")
    lines[1] = content
    (tmp_path / "records.jsonl").write_bytes(b"\n".join(lines))
    for read in (read_records, earlier):
        with pytest.raises(InputError, match=re.escape(message)) as caught:
            read(tmp_path)
        assert f"{tmp_path / 'records.jsonl'}:2:" in str(caught.value)


@pytest.mark.parametrize(("schema", "key"), [(2, "question"), (3, "specification")])
def test_a_specification_that_is_none_is_named(tmp_path: Path, schema: int, key: str) -> None:
    first = {"type": "campaign", "schema": schema, key: None}
    (tmp_path / "records.jsonl").write_text(json.dumps(first) + "\n")
    with pytest.raises(InputError, match=rf"records\.jsonl:1: {key}: must be a mapping"):
        read_records(tmp_path)


def test_keys_of_a_later_version_are_passed_over_and_kept(tmp_path: Path) -> None:
    with open(tmp_path / "records.jsonl", "wb") as file:
        file.write(b'{"type":"campaign","schema":2,"question":{}}\n')
        file.write(line("ask", novel=1) + b"\n" + line("result", novel=2) + b"\n")
    records = read_records(tmp_path)
    assert [getattr(record, "novel", None) for record in records] == [None, 1, 2]
    assert [json.loads(to_line(record)).get("novel") for record in records] == [None, 1, 2]


def test_schema_2_is_read_in_the_words_of_schema_3(tmp_path: Path) -> None:
    with open(tmp_path / "records.jsonl", "wb") as file:
        file.write(b'{"type":"campaign","schema":2,"question":{"a":1}}\n')
        file.write(line("ask", kind="found") + b"\n" + line("ask", trial="y") + b"\n")
    first, *asks = read_records(tmp_path)
    assert isinstance(first, Header)
    assert (first.schema_version, first.specification) == (2, {"a": 1})
    assert [ask.kind for ask in asks if isinstance(ask, Ask)] == ["searched", "searched"]


def test_what_a_reader_would_refuse_is_not_written(tmp_path: Path) -> None:
    content = fill(tmp_path)
    refused = result("a-0002").model_copy(update={"seconds": -1.0})
    with RecordLog(tmp_path) as log:
        with pytest.raises(InputError, match="the next record: seconds: Input should be greater"):
            log.append(refused)
        with pytest.raises(ValueError, match="JSON"):
            log.append(result("a-0002").model_copy(update={"metrics": {"loss": float("nan")}}))
    assert (tmp_path / "records.jsonl").read_bytes() == content


def test_another_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_bytes(fill(tmp_path).replace(b'"schema":3', b'"schema":1'))
    with pytest.raises(InputError, match="reads schema 2 and 3, got 1; finish it with the version"):
        read_records(tmp_path)


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    with RecordLog(tmp_path) as log:
        log.append(Header(schema=SCHEMA, specification={}))
        with pytest.raises(InputError, match="another run of this campaign"), RecordLog(tmp_path):
            pass
        assert len(read_records(tmp_path)) == 1  # reading needs no lock
    with RecordLog(tmp_path) as log:
        assert len(list(log.earlier())) == 1


def test_the_lock_dies_with_its_process(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from nas.campaigns.store.log import RecordLog\n"
        "RecordLog(Path(sys.argv[1])).__enter__(); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == -9
    with RecordLog(tmp_path) as log:
        assert list(log.earlier()) == []


def test_a_full_disk_is_told_and_loses_nothing(tmp_path: Path) -> None:
    content = fill(tmp_path)
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from nas.campaigns.store.log import RecordLog\n"
        "from nas.campaigns.store.types import Result\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({len(content) + 20},) * 2)\n"
        "with RecordLog(Path(sys.argv[1])) as log:\n"
        f"    log.append(Result(trial='a-0002', **{RESULT}))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    failed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert f"{CampaignError.__name__}: {tmp_path / 'records.jsonl'}: cannot be written" in (
        failed.stderr
    )
    with RecordLog(tmp_path) as log:
        assert log.torn == 20
        assert len(list(log.earlier())) == 3


def test_a_history_has_one_ask_and_one_result_a_trial() -> None:
    a, b = (Ask(trial=trial, **ASK) for trial in "ab")
    history = History(Path("here"), [Header(schema=SCHEMA, specification={}), a, b, result("a")])
    assert history.unfinished() == [b]
    with pytest.raises(InputError, match=r"here/records\.jsonl: trial a: a second ask"):
        history.add(a)
    with pytest.raises(InputError, match="trial a: a second result"):
        history.add(result("a"))
    with pytest.raises(InputError, match="trial c: a result, but it was never asked"):
        history.add(result("c"))
