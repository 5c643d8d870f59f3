"""docs/reference.md is what the code says, and says something about each key, block, operation."""

import pytest

from nas.blocks import BLOCKS
from nas.spaces import spaces
from nas.spaces.families.family import FAMILIES
from tests.docs import costs, reference


def test_the_page_is_what_the_code_says() -> None:
    written = reference.PAGE.read_text(encoding="utf-8")
    assert written == reference.page(), "run python -m tests.docs.reference"


def test_every_key_has_a_meaning() -> None:
    for name in FAMILIES:
        for where, model in [("", FAMILIES[name]), *reference.nested(FAMILIES[name])]:
            for key in model.model_fields:
                text = reference.meaning(model, key)
                assert text.endswith("."), f"{name}.{where}.{key}: {text}"


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
