"""Against the published figures that the reference data come with."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

import nas
from nas.errors import InputError
from nas.evaluators.tables.nasbench201 import nasbench201, spikenas, transnasbench101
from nas.evaluators.tabular import Lookup

FILES = {
    "nb201": ("nb201_accuracy.csv.gz", "nb201_latency_help.csv.gz"),
    "spikenas": ("spikenas_cifar10_summary.csv.gz", "spikenas_cifar10_curves.npz"),
}


def test_every_cell_of_the_space_has_its_row(shared_data: Path) -> None:
    accuracy, latency = FILES["nb201"]
    table = nasbench201(shared_data, file=accuracy, join={latency: "arch_idx"})
    frame = pd.read_csv(shared_data / accuracy)
    assert list(table.keys) == frame["arch_str"].tolist()  # the notation, as others write it
    space = nas.space("nasbench201")
    lookup = Lookup(table, space)
    rows = [lookup.row(genotype) for genotype in space.enumerate()]
    assert sorted(rows) == list(range(15_625))
    best = lookup.row(space.member("cifar10_optimum"))
    assert best == 6111
    assert table.metric("c10_test_e200").max() == pytest.approx(94.373, abs=5e-4)
    assert lookup.value("c10_test_e200", best) == table.metric("c10_test_e200").max()
    assert lookup.row(space.member("imagenet16_optimum")) == 857
    assert lookup.value("in16_test_e200", 857) == pytest.approx(47.311, abs=5e-4)
    help_ms = pd.read_csv(shared_data / latency).set_index("arch_idx")["help_pixel2_ms"]
    np.testing.assert_array_equal(table.metric("help_pixel2_ms"), help_ms.to_numpy())
    assert set(table.files) == {accuracy, latency}
    assert len([name for name in table.metrics if name.startswith("help_")]) == 27


def test_curves_and_seconds_of_spikenas(shared_data: Path) -> None:
    summary, curves = FILES["spikenas"]
    table = spikenas(shared_data, file=summary, curves=curves)
    assert table.epochs == tuple(range(1, 101))
    assert table.seconds is not None
    assert table.seconds[:, -1].sum() / (365.25 * 24 * 3600) == pytest.approx(3.9, abs=0.05)
    assert table.seconds[0, 49] == table.seconds[0, 99] / 2
    with np.load(shared_data / curves) as arrays:
        raw, long, longer = (
            arrays[name] for name in ("val_correct_of_25000", "long_ids", "long_val_correct")
        )
    # The rank correlations that are published with the data.
    test = table.metric("test_acc")
    for epoch, expected in ((1, 0.32), (10, 0.65), (50, 0.90), (100, 0.95)):
        assert spearmanr(raw[:, epoch - 1], test)[0] == pytest.approx(expected, abs=0.01)
    validation, short = table.metrics["validation"], np.setdiff1d(np.arange(15_625), long)
    np.testing.assert_array_equal(validation[short], raw[short] / 250)
    # Those of 200 epochs are at the same part of their training, not in the same epoch.
    np.testing.assert_array_equal(validation[long], longer[:, 1::2] / 250)
    np.testing.assert_allclose(validation[:, -1], table.metric("final_val_acc"), atol=1e-6)


def test_every_cell_of_transnasbench101_has_its_row(shared_data: Path) -> None:
    file = "nas/tnb101_micro_val_zen.csv.gz"
    table = transnasbench101(shared_data, file=file)
    space = nas.space(
        "nasbench201", operations=["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3"]
    )
    lookup = Lookup(table, space)
    assert sorted(map(lookup.row, space.enumerate())) == list(range(4_096))
    # The order of the edges: cells whose output no input reaches were trained to the same metric.
    frame = pd.read_csv(shared_data / file, index_col="arch")
    scene = table.metric("val_metric_class_scene")
    empty = [row for row, key in enumerate(table.keys) if key.endswith("+|none~0|none~1|none~2|")]
    assert len(empty) == 64
    assert set(scene[empty]) == {scene.min()}
    # The optimum for scene classification that papers on this benchmark give: 54.94 %.
    best = space.from_string(table.keys[int(scene.argmax())])
    assert scene.max() == pytest.approx(54.94, abs=5e-3)
    assert frame.loc["(3,3,2,1,3,2)", "val_metric_class_scene"] == scene[lookup.row(best)]


def test_a_wrong_cell_of_transnasbench101_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('arch,v\n"(0, 1, 2, 3, 0, 1)",1\n"(0, 1, 2, 4, 0, 1)",1\n')
    message = "t.csv: column arch, row 2: must be six digits from 0 to 3, got '(0, 1, 2, 4, 0, 1)'"
    with pytest.raises(InputError, match=re.escape(message)):
        transnasbench101(tmp_path, file="t.csv")


def test_the_two_benchmarks_number_their_edges_apart(shared_data: Path) -> None:
    """Digits of SpikeNAS are in another order: with it, parameters are those of its network."""
    table = spikenas(shared_data, file=FILES["spikenas"][0], curves=FILES["spikenas"][1])
    first, second = (
        table.keys.index(key)
        for key in (
            "|none~0|+|none~0|skip_connect~1|+|none~0|none~1|none~2|",
            "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",
        )
    )
    codes = pd.read_csv(shared_data / FILES["spikenas"][0], dtype={"op_code": str})["op_code"]
    assert codes[first] == "000100"  # 1>2 is the fourth
    assert codes[second] == "001000"  # 0>3 is the third


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("op_code,v\n001122,1\n", None),
        ("opcode,v\n001122,1\n", "t.csv: column op_code is missing"),
        ("op_code,v\n001125,1\n", "row 1: must be six digits from 0 to 4, got '001125'"),
        ("op_code,v\n000000,1\n12,1\n", "row 2: must be six digits from 0 to 4, got '12'"),
        ("op_code,v\n000000,1\n000000,1\n", "architecture '|none~0|+|none~0|none~1|+|none~0|"),
    ],
    ids=["right", "column", "digit", "length", "twice"],
)
def test_a_wrong_code_is_named(tmp_path: Path, text: str, message: str | None) -> None:
    (tmp_path / "t.csv").write_text(text)
    if message is None:
        key = "|none~0|+|none~0|skip_connect~1|+|skip_connect~0|nor_conv_1x1~1|nor_conv_1x1~2|"
        assert list(nasbench201(tmp_path, file="t.csv").keys) == [key]
        return
    with pytest.raises(InputError, match=re.escape(message)):
        nasbench201(tmp_path, file="t.csv")
