"""Tests that run side by side."""

import pytest


@pytest.mark.xdist_group("parallel")
def test_groups_count(request: pytest.FixtureRequest) -> None:
    """Tests of a group share the fixtures of one process; pytest-xdist marks them by their ids."""
    if not hasattr(request.config, "workerinput"):
        pytest.skip("only where tests run side by side")
    assert request.node.nodeid.endswith("@parallel")
