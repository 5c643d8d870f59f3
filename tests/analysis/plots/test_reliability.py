from pathlib import Path

import pytest
from matplotlib.figure import Figure

from nas.analysis.plots.campaign import read
from nas.analysis.plots.kinds import figure
from tests.analysis.plots.campaigns import result, retrained, write


def test_marks_are_the_bins_of_all_seeds_and_the_error_is_the_mean_of_the_seeds(
    tmp_path: Path,
) -> None:
    """Two seeds: (10 of 20 right, 12 expected; 30 of 30) and (20 of 20 right, 18 expected)."""
    seeds = [[[20, 10, 12.0], [30, 30, 30.0]], [[20, 20, 18.0], [0, 0, 0.0]]]
    records = []
    for seed, (bins, error) in enumerate(zip(seeds, (0.04, 0.1), strict=True)):
        records.append(retrained("lenet5", "classic", seed))
        test = {"calibration_error": error, "reliability": bins}
        records.append(
            result(f"final-lenet5-seed{seed}", validation_accuracy=0.8, test_accuracy=0.8,
                   evaluations={"single": {"test": test}})
        )  # fmt: skip
    drawn = figure("reliability", read(write(tmp_path / "mine", records)))
    assert isinstance(drawn, Figure)
    panel = drawn.axes[0]
    assert panel.get_title(loc="left") == "lenet5: error 0.070, 2 seeds"
    [marks] = [each for each in panel.collections if len(each.get_offsets()) == 2]
    assert marks.get_offsets().tolist() == [pytest.approx([0.75, 0.75]), pytest.approx([1, 1])]
