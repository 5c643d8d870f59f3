"""The registry of metrics: what it promises, and that the documents name what it holds."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.analysis.tables.columns import curve_columns, network_columns, trial_columns
from nas.errors import InputError
from nas.metrics import COSTS, METRICS, Catalogue, Direction, Metric, is_test, joined
from nas.spaces.constraints import Constraints

DOCS = Path(__file__).parents[1] / "docs"

ERROR = Metric(name="absolute_error", direction="minimize", unit="steps", meaning="mean distance")
LOSS = Metric(name="loss", direction="minimize", unit="nats")
ENERGY = Metric(name="energy", unit="J", direction="minimize", meaning="used in training")


def named(page: str, begin: str, end: str) -> set[str]:
    """The names in backticks between two texts of a page."""
    _, _, rest = (DOCS / page).read_text(encoding="utf-8").partition(begin)
    return set(re.findall(r"`(\w+)`", rest.partition(end)[0]))


def test_the_objectives_that_need_no_direction_are_documented() -> None:
    assert named("campaigns.md", "These names need no direction:", "which are minimised") == {
        *METRICS.known()
    }


def test_the_columns_of_the_table_are_documented_and_no_others() -> None:
    told = named("results.md", "| column | meaning |", "\n\n")
    assert set(network_columns(METRICS)) <= told


def test_every_metric_has_a_meaning_and_a_direction_where_it_is_measured_on_images() -> None:
    for name, metric in METRICS.items():
        assert metric.name == name
        assert metric.meaning, name
        assert not metric.meaning.endswith("."), name
        assert is_test(name) == (metric.stage == "test")
        if name.startswith(("validation_", "test_")):
            assert metric.direction, name
    assert set(COSTS) <= Constraints.model_fields.keys()
    assert set(COSTS) == {n for n, metric in METRICS.items() if metric.stage == "graph"}


def test_no_metric_of_the_test_images_may_be_an_objective() -> None:
    assert not [name for name in METRICS.known() if is_test(name)]
    with pytest.raises(ValueError, match="begins with test_ exactly if its stage is test"):
        Metric(name="test_energy")
    with pytest.raises(ValueError, match="begins with test_ exactly if its stage is test"):
        Metric(name="energy", stage="test")


def test_a_catalogue_is_read_again_from_its_definition() -> None:
    own = Metric(name="recall", direction="maximize", unit="fraction", function=max)
    catalogue = Catalogue([ERROR, LOSS], [own], [ENERGY])
    again = Catalogue.read(catalogue.definition())
    assert list(again) == list(catalogue)
    assert again.definition() == catalogue.definition()
    assert again.task == catalogue.task
    assert (again.validation, again.test) == ("validation_absolute_error", "test_absolute_error")
    assert again["test_recall"].path == ("single", "test", "recall")
    with pytest.raises(InputError, match="metrics: not a definition of metrics"):
        Catalogue.read({"own": [{"nome": "recall"}]})
    assert METRICS.definition() == {}
    assert Catalogue.read(METRICS.definition()) is Catalogue.read(None) is METRICS
    for columns in (trial_columns, network_columns):
        assert {"test_recall", "validation_recall", "energy"} <= columns(again).keys()
        assert "accuracy" not in "".join(columns(again))
    assert "validation_absolute_error" in curve_columns(again)


@pytest.mark.parametrize(
    ("task", "own", "message"),
    [
        ([ERROR, LOSS], [ERROR], "'validation_absolute_error' already"),
        ([ERROR, LOSS], [Metric(name="std")], "'validation_std' already"),
        ([ERROR], [], "must have a metric called loss"),
        ([Metric(name="error"), LOSS], [], "'error' must have a direction"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    task: list[Metric], own: list[Metric], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Catalogue(task, own)


def test_campaigns_of_one_task_share_a_table_and_others_do_not() -> None:
    plain, more = Catalogue(), Catalogue((), (), [ENERGY])
    assert list(joined([("a", plain), ("b", more)])) == list(more)
    with pytest.raises(InputError, match=r"primary metrics accuracy and absolute_error"):
        joined([("a", plain), ("b", Catalogue([ERROR, LOSS]))])
    other = Catalogue((), (), [ENERGY.model_copy(update={"unit": "kWh"})])
    with pytest.raises(InputError, match="b: declares metric 'energy' differently from the others"):
        joined([("a", more), ("b", other)])


@given(st.floats(allow_nan=False), st.sampled_from(["maximize", "minimize"]))
def test_flipped_twice_is_the_value_and_smaller_is_better(
    value: float, direction: Direction
) -> None:
    metric = Metric(name="energy", direction=direction)
    assert metric.flipped(metric.flipped(value)) == value
    better = value + 1 if direction == "maximize" else value - 1
    assert metric.flipped(better) <= metric.flipped(value)
