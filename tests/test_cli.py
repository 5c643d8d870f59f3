import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import nas
from nas.cli import main
from tests.data import DATA


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    try:
        code = main(arguments)
    except SystemExit as stop:  # argparse's own
        code = int(stop.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_importing_nas_and_asking_for_help_load_no_heavy_library() -> None:
    code = (
        "import sys, nas\n"
        "from nas.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'ray', 'optuna', 'pandas', 'numpy'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "campaign" in done.stdout


def test_every_public_name_is_there() -> None:
    for name in nas.__all__:
        assert getattr(nas, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'clasic'"):
        _ = nas.clasic


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_cost_is_the_published_one_twice(capsys: pytest.CaptureFixture[str], name: str) -> None:
    truth = pd.read_csv(DATA / "classic_costs.csv").set_index("name").loc[name]
    code, out, _ = run(capsys, "cost", name, "--json")
    assert code == 0
    told = json.loads(out)
    expected = {column: truth[column] for column in ("params", "macs", "flops", "activations")}
    assert {column: told[column] for column in expected} == expected
    assert told["fvcore"] == expected


def test_cost_of_another_input_and_of_a_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    _, out, _ = run(capsys, "cost", "resnet20", "--input", "1,16,16", "--classes", "7", "--json")
    path = tmp_path / "mine.json"
    path.write_text(nas.classic("resnet20", (1, 16, 16), 7).to_json())
    code, again, _ = run(capsys, "cost", str(path), "--json")
    assert code == 0
    first, second = json.loads(out), json.loads(again)
    assert first.pop("name") == "resnet20"
    assert second.pop("name") == str(path)
    assert first == second
    assert first["input_shape"] == [1, 16, 16]
    # The stem has 2 x 144 weights fewer, the classifier 3 x 65 parameters fewer.
    assert first["params"] == 269_722 - 2 * 144 - 3 * 65


def test_cost_as_text_names_what_fvcore_does_not_count(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "cost", "resnet20")
    assert "269,722" in out
    assert "not counted by fvcore: aten::add" in out


def test_sample_is_repeatable_json_of_the_space(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "sample", "primitives", "-n", "3", "--seed", "5")
    _, again, _ = run(capsys, "sample", "primitives", "-n", "3", "--seed", "5")
    _, other, _ = run(capsys, "sample", "primitives", "-n", "3", "--seed", "6")
    assert out == again != other
    genotypes = [json.loads(line) for line in out.splitlines()]
    assert len(genotypes) == 3
    for genotype in genotypes:
        nas.space("primitives").validate(genotype)


def test_lists(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "spaces")
    assert "primitives" in out
    assert "se_resnet20" in out
    _, out, _ = run(capsys, "classics")
    assert out.splitlines()[1].split()[0] == "lenet5"
    assert "25,557,032" in out


def test_spaces_tells_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "spaces")
    lines = {line.split()[0]: line for line in out.splitlines()}
    # Published: Dong & Yang 2020, section 2.1; Dong et al. 2021, section 3.1.
    for name, size in [("nasbench201", "15,625"), ("natsbench_size", "32,768")]:
        assert f" exactly {size} " in lines[name]
    assert "(known exactly)" in lines["primitives"]


def test_the_age_of_a_search_does_not_count_what_its_process_was_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from nas.cli.campaigns import _age

    assert _age() >= 0
    monkeypatch.setattr("time.process_time", lambda: 0.5)  # `exec nas` in an old shell
    assert _age() <= 5


def test_a_search_goes_on_if_nobody_reads_its_lines(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from nas.cli.campaigns import _say

    with (tmp_path / "output").open("w") as output:

        def closed(text: str) -> int:
            raise BrokenPipeError

        told = SimpleNamespace(write=closed, flush=output.flush, fileno=output.fileno)
        monkeypatch.setattr("sys.stdout", told)
        _say("one")
        _say("two")
        output.write("dropped")
    assert (tmp_path / "output").read_text() == ""


def test_spaces_tells_macs_at_an_input(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "spaces", "--input", "1,28,28", "--classes", "10",
                         "--where", "space == 'natsbench_size'", "--format", "json")  # fmt: skip
    assert code == 0, err
    (row,) = json.loads(out)["rows"]
    # The smallest member has 8 channels in every layer, the largest 64.
    space = nas.space("natsbench_size", input_shape=(1, 28, 28), classes=10)
    genotypes = (space.sample(np.random.default_rng(0)) for _ in range(1))
    names = list(next(genotypes))
    least, most = (space.decode(dict.fromkeys(names, width)).cost.macs for width in (8, 64))
    assert least < row["macs_10"] <= row["macs"] <= row["macs_90"] < most


def test_sample_takes_an_input(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "shapes.py"
    path.write_text("""
import nas


def space(choose, *, input_shape, classes):
    choose("channels", [input_shape[0]]), choose("classes", [classes])
    g = nas.Builder(input_shape)
    return g.build(g.linear(g.flatten(g.input), classes))
""")
    code, out, _ = run(capsys, "sample", f"{path}:space", "--input", "5,8,8", "--classes", "7")
    assert (code, json.loads(out)) == (0, {"channels": 5, "classes": 7})


def test_what_fvcore_does_not_count_is_said_beside_the_number(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    g = nas.Builder((8, 4, 4))
    x = g.permute(g.input, (1, 2, 0))
    x = g.attention(x, x, x, heads=2)
    file = tmp_path / "attention.json"
    file.write_text(g.build(g.linear(g.flatten(x), 3)).to_json())
    code, out, _ = run(capsys, "cost", str(file))
    assert code == 0
    lines = {line.split()[0]: line.split(maxsplit=3)[1:] for line in out.splitlines()[2:]}
    said = "fvcore does not count attention"
    assert lines["macs"] == [f"{16 * 16 * 16 + 128 * 3:,}", "384", said]
    assert lines["flops"] == ["384", "384", said]
    code, out, _ = run(capsys, "show", str(file))
    assert code == 0
    assert "macs 4,480  flops 384 (without attention)  activations 3 (without attention)" in out


def test_show_a_member(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "show", "darts:darts_v2", "--input", "3,16,16", "--classes", "7")
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == 'normal.node0.inputs: "older+newer"'
    assert "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), " in out
    cell = lines.index("cell reduction:")
    # Liu et al. 2019, figure 5: the reduction cell.
    assert lines[cell + 3 : cell + 6] == [
        "2 = max_pool_3x3(0) + max_pool_3x3(1)",
        "3 = max_pool_3x3(1) + skip_connect(2)",
        "4 = max_pool_3x3(0) + skip_connect(2)",
    ]
    architecture = nas.space("darts", (3, 16, 16), 7).decode(nas.space("darts").member("darts_v2"))
    assert lines[-3].startswith("input 3x16x16  outputs 7  depth ")
    assert f"params {architecture.cost.params:,}  macs {architecture.cost.macs:,}  " in lines[-2]
    assert lines[-1] == f"fingerprint {architecture.fingerprint}"
    _, told, _ = run(capsys, "cost", "darts:darts_v2", "--input", "3,16,16", "--json")
    assert json.loads(told)["input_shape"] == [3, 16, 16]


@pytest.mark.parametrize("space", ["nasbench201", "nasbench101", "darts", "primitives"])
def test_show_reads_a_notation_and_json(capsys: pytest.CaptureFixture[str], space: str) -> None:
    found = nas.space(space)
    genotype = found.sample(np.random.default_rng(0))
    _, by_notation, _ = run(capsys, "show", space, found.to_string(genotype))
    _, by_json, _ = run(capsys, "show", space, json.dumps(genotype))
    assert by_notation == by_json
    assert by_json.splitlines()[-1] == f"fingerprint {found.decode(genotype).fingerprint}"


def test_show_a_classic_and_a_space_in_python(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "show", "resnet20")
    assert "\ninput 3x32x32  outputs 10  depth 20\n" in out
    assert "params 269,722  macs 40,551,040  " in out
    name = f"{Path(__file__).parent}/spaces/examples/my_space.py:space"
    _, drawn, _ = run(capsys, "sample", name)
    code, out, _ = run(capsys, "show", name, drawn)
    assert code == 0
    assert out.startswith("width: ")


def test_sample_tells_of_rejected_draws(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    example = Path(__file__).parent / "spaces" / "examples" / "my_space.yaml"
    path = tmp_path / "small.yaml"
    path.write_text(example.read_text() + "constraints: {params: 5e4}\n")
    code, out, err = run(capsys, "sample", str(path), "-n", "50")
    assert (code, len(out.splitlines())) == (0, 50)
    assert err.startswith("nas: draws rejected and drawn again: ")
    assert "(params " in err


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["show", "darts"], ["darts: is a space", "darts:MEMBER", "darts_v1, darts_v2"]),
        (["show", "darts:v3"], ["space darts: unknown member 'v3'", "allowed: darts_v1"]),
        (["show", "primitivs", "{}"], ["unknown space 'primitivs' (did you mean 'primitives'?)"]),
        (["show", "primitives", "{}"], ["space primitives: choice 'activation' is missing"]),
        (["show", "nasbench201", "|conv"], ["not a cell of 4 nodes", "'|conv'"]),
        (["show", "nine.py:space", "{}"], ["nine.py: cannot be read"]),
        (["sample", f"{__file__}:spaec"], ["unknown name 'spaec'", "allowed: "]),
        (["cost", "resnet51"], ["unknown classic 'resnet51'", "resnet50", "allowed: lenet5"]),
        (["cost", "resnet50", "--input", "3,x"], ["--input", "3,224,224", "got '3,x'"]),
        (["cost", "resnet50", "--input", ""], ["--input", "3,224,224", "got ''"]),
        (["cost", "resnet50", "--input", "3,0,5"], ["input shape must be positive", "(3, 0, 5)"]),
        (["cost", "resnet50", "--classes", "0"], ["--classes", "at least 1", "got '0'"]),
        (["sample", "primitives", "-n", "0"], ["argument -n", "at least 1", "got '0'"]),
        (["sample", "primitives", "-n", "x"], ["argument -n", "whole number", "got 'x'"]),
        (["sample", "primitives", "--seed", "-1"], ["--seed", "at least 0", "got '-1'"]),
        (["gradients", "resnet20", "--seed", str(2**64)], ["--seed", "below 2**64"]),
        (["new", "/dev/null/x"], ["/dev/null", "Not a directory"]),
        (["new", __file__], [__file__, "File exists"]),
        (["cost", "lenet5", "--input", "1,8,8"], ["node 'conv2'", "does not fit into size 4"]),
        (["cost", "none.json"], ["none.json", "cannot be read"]),
        (["sample", "primitivs"], ["unknown space 'primitivs'", "'primitives'"]),
        (["table", "no/such"], ["no/such: there is no such folder"]),
        (["compare", "no/such", "nor/this"], ["no/such: there is no such folder"]),
        (["cost", "no/such:best"], ["no/such:best: there is no folder no/such"]),
        (["classics", "--where", "yaer < 2000"], ["unknown column 'yaer' (did you mean 'year'?)"]),
        (["classics", "--sort", "size"], ["--sort: unknown column 'size'; allowed: name, year"]),
        (["classics", "--columns", "size"], ["--columns: unknown column 'size'"]),
        (["classics", "--format", "html"], ["unknown format 'html'", "text, csv, markdown, lat"]),
        (["classics", "--out", "x.xyz"], ["--out: x.xyz: the ending is none of .txt, .csv"]),
        (["export", "no/such", "--to", "optuna"], ["no/such: there is no such folder"]),
        (["run", "no/such"], ["no/such/campaign.yaml", "cannot be read"]),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], parts: list[str]
) -> None:
    code, out, err = run(capsys, *arguments)
    assert code == 2
    assert not out
    assert "Traceback" not in err
    for part in parts:
        assert part in err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"input_shape": [3, 8', "not JSON"),
        (b"\x89PNG", "is not UTF-8 text"),
        (b"[" * 1_000_000, "nested too deeply"),
        (b"9" * 10_000, "not JSON"),
        (b"[]", "has the keys input_shape, nodes and outputs"),
    ],
)
def test_a_file_that_is_no_architecture_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "torn.json"
    path.write_bytes(content)
    code, _, err = run(capsys, "cost", str(path))
    assert code == 2
    assert f"{path}: " in err
    assert said in err
    assert len(err.splitlines()) == 1


def test_records_that_are_a_folder_are_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(capsys, "new", str(tmp_path))[0] == 0
    (tmp_path / "records.jsonl").mkdir()
    code, _, err = run(capsys, "table", str(tmp_path))
    assert code == 2
    assert "records.jsonl: cannot be read: it is not a regular file" in err


@pytest.mark.parametrize("command", [["cost", "--by-node"], ["cost"], ["gradients"]])
def test_an_architecture_with_no_layer(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, command: list[str]
) -> None:
    path = tmp_path / "nothing.json"
    path.write_text('{"input_shape": [3], "nodes": [], "outputs": ["input"]}')
    assert run(capsys, *command, str(path))[0] == 0


def test_a_reader_that_stops_reading_is_no_error() -> None:
    command = f"{sys.executable} -m nas.cli sample primitives | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_new_writes_a_campaign_that_loads(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from nas.campaigns.spec.campaign import load_campaign

    folder = tmp_path / "mine"
    code, out, _ = run(capsys, "new", str(folder), "--searcher", "optuna")
    assert code == 0
    assert f"nas run {folder}" in out
    assert load_campaign(folder).config.searcher.name == "optuna"
    code, _, err = run(capsys, "new", str(folder))
    assert code == 2
    assert "already exists" in err


def test_the_committed_table_of_classics_is_the_one_made_now(
    capsys: pytest.CaptureFixture[str],
) -> None:
    committed = Path(__file__).parents[1] / "results" / "classics.csv"
    _, out, _ = run(capsys, "classics", "--format", "csv")
    assert committed.read_text() == out


def test_rows_columns_and_order_of_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(
        capsys, "classics", "--where", 'year < 2015 and "alexnet" in name',
        "--sort", "params:desc", "--columns", "name,params", "--format", "csv",
    )  # fmt: skip
    assert code == 0
    assert out.splitlines() == ["name,params", "alexnet,61100840", "alexnet_2012,60965224"]


def test_cost_by_node(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "cost", "lenet5", "--by-node")
    assert code == 0
    head, *rows, last = out.splitlines()
    assert head.split() == (
        ["name", "operation", "output", "params", "share", "macs", "share", "field", "stride"]
    )
    conv2 = next(row for row in rows if row.startswith("conv2 "))
    # LeCun et al. 1998 with full connections: 16 x (6 x 25 + 1) parameters of 61,706.
    assert conv2.split()[1:] == (
        ["conv", "16x10x10", "2,416", "3.9%", "240,000", "57.6%", "14x14", "2x2"]
    )
    assert len(rows) == 12
    assert last.startswith("depth 5 weighted layers; peak activation memory 41,728 bytes")


def test_cost_by_node_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "cost", "googlenet", "--by-node", "--json")
    told = json.loads(out)
    cost = nas.classic("googlenet").cost
    assert told["depth"] == 22
    assert sum(node["params"] for node in told["nodes"]) == cost.params
    assert sum(node["macs"] for node in told["nodes"]) == cost.macs
    assert told["nodes"][0]["field"] == [{"size": 7, "stride": 2.0, "padding": 3.0}] * 2


def test_gradients_by_depth(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    shape = ("--input", "1,16,16", "--classes", "7")
    code, out, _ = run(capsys, "gradients", "resnet20", *shape)
    assert code == 0
    head, *rows, _ = out.splitlines()
    assert head.split() == ["depth", "name", "activation", "gradient"]
    assert [row.split()[0] for row in rows] == [str(depth) for depth in range(1, 21)]
    assert all(float(number) > 0 for row in rows for number in row.split()[2:])
    assert run(capsys, "gradients", "resnet20", *shape, "--seed", "0")[1] == out
    assert run(capsys, "gradients", "resnet20", *shape, "--seed", "1")[1] != out

    def drawn(scheme: str) -> str:
        return run(capsys, "gradients", "resnet20", *shape, "--initialization", scheme)[1]

    # A classic's default is what its own paper draws: here He et al. 2015.
    assert out == drawn("reference") == drawn("kaiming_normal") != drawn("default")
    file = tmp_path / "network.json"
    file.write_text(nas.classic("resnet20", (1, 16, 16), 7).to_json())
    assert run(capsys, "gradients", str(file))[1] == drawn("default")
    code, _, err = run(capsys, "gradients", "resnet20", "--initialization", "kaiming")
    assert code == 2
    assert "unknown initialization 'kaiming'" in err
    assert "xavier_uniform" in err
