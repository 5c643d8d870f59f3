"""docs/reference.md is what the code says, and says something about each key, block, operation."""

import pytest
from pydantic import BaseModel

from nas.benchmark.config import BenchmarkFile
from nas.blocks import BLOCKS
from nas.campaigns.spec.engine import SerialConfig, UserEngineConfig
from nas.campaigns.spec.schema import TrainingFile
from nas.configuration import Named, validate
from nas.evaluators.tables import TABLES
from nas.evaluators.tabular import TabularOptions
from nas.searchers import SEARCHERS
from nas.spaces import spaces
from nas.spaces.families.family import FAMILIES
from nas.training.datasets import DATASETS
from nas.yaml_files import read_yaml
from tests.docs import costs, reference

SPECIFICATIONS: dict[str, type[BaseModel]] = {
    "campaign": TrainingFile,
    "evaluator": TabularOptions,
    "benchmark": BenchmarkFile,
}


def test_the_page_is_what_the_code_says() -> None:
    written = reference.PAGE.read_text(encoding="utf-8")
    assert written == reference.page(), "run python -m tests.docs.reference"


def test_every_key_has_a_meaning() -> None:
    for name in FAMILIES:
        for where, model in [("", FAMILIES[name]), *reference.nested(FAMILIES[name])]:
            for key in model.model_fields:
                text = reference.meaning(model, key)
                assert text.endswith("."), f"{name}.{where}.{key}: {text}"


def test_every_key_of_a_specification_has_a_meaning_and_an_example() -> None:
    for name, model in SPECIFICATIONS.items():
        given = read_yaml(reference.EXAMPLES / f"{name}.yaml")
        validate(model, given)
        assert list(given) == list(model.model_fields), name
    parts = [*reference.CAMPAIGN_PARTS.values(), *reference.BENCHMARK_PARTS.values()]
    inner = {each for model in SPECIFICATIONS.values() for _, each in reference.nested(model)}
    assert inner - {Named, SerialConfig, UserEngineConfig} <= {*parts}
    for model in [*SPECIFICATIONS.values(), *parts]:
        for key in model.model_fields:
            text = reference.meaning(model, key)
            assert text.endswith("."), f"{model.__name__}.{key}: {text}"


def test_every_option_has_a_meaning() -> None:
    for registry in (SEARCHERS, DATASETS, TABLES):
        rows = reference.options_of(registry).splitlines()[2:]
        assert all(row.endswith((". |", "`. |")) for row in rows), rows


def test_every_block_and_operation_is_listed() -> None:
    page = reference.PAGE.read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in page for name in BLOCKS)
    kinds = {each.kind for each in reference.kinds()}
    assert {"conv", "linear", "batch_norm", "max_pool", "attention", "concat"} <= kinds
    assert all(f"| `{kind}` |" in page for kind in kinds)


@pytest.mark.parametrize("space", ["nasbench201", "natsbench_size"])
def test_the_table_of_costs_is_what_the_spaces_cost(space: str) -> None:
    page = costs.PAGE.read_text(encoding="utf-8")
    table = page.partition(costs.HEAD)[2].partition("\n\n")[0]
    rows = {line.split("`")[1]: line.split(" | ")[1:] for line in table.splitlines()}
    assert list(rows) == list(spaces())
    assert rows[space][0] == costs.row(space, (32,))[0]
