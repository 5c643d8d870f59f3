import json

import pytest

from nas.cli import main


def test_proxies_prints_a_value_and_seconds_of_each(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["proxies", "lenet5", "--data", "digits", "--batch", "8", "--format", "json"]
    assert main([*given, "--only", "snip,depth"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["proxy"] for row in rows] == ["snip", "depth", "params"]
    assert rows[1]["value"] == 5
    assert rows[2]["value"] == 21386
    assert all(row["seconds"] >= 0 for row in rows)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--only", "snap"], "nas: --only: unknown proxy 'snap' (did you mean 'snip'?)"),
        (["--device", "tpu"], "nas: --device: unknown device 'tpu'; allowed: cpu, cuda, auto"),
        (["--initialization", "best"], "nas: unknown initialization 'best'"),
        (["--data", "digit"], "nas: --data: name: unknown data set 'digit'"),
    ],
)
def test_proxies_names_wrong_input(
    capsys: pytest.CaptureFixture[str], changes: list[str], message: str
) -> None:
    assert main(["proxies", "lenet5", "--data", "digits", *changes]) == 2
    assert message in capsys.readouterr().err
