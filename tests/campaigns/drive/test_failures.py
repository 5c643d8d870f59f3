from pathlib import Path

import pytest

from nas.campaigns.drive.failure_limit import FIRST, LATER, FailureLimit
from nas.campaigns.engines.base import Outcome, failure
from nas.errors import CampaignError

WORKED = Outcome("completed", {}, None, 1.0)


def no_memory(n: int) -> Outcome:
    return failure(f"OutOfMemoryError: tried to allocate {n}.{n} GiB", cause="out_of_memory")


def wrong_shape(n: int) -> Outcome:
    return failure(f"Traceback\nRuntimeError: expected {n} channels, got {n}.5")


@pytest.mark.parametrize("fails", [no_memory, wrong_shape])
def test_one_way_of_failing_is_one_whatever_the_numbers_are(fails: object) -> None:
    assert callable(fails)
    patience = FailureLimit(Path("c"))
    for n in range(1, FIRST):
        patience.hear(fails(n))
    with pytest.raises(CampaignError, match=f"c: the first {FIRST} trials of this run all failed"):
        patience.hear(fails(FIRST))


def test_ways_are_counted_apart() -> None:
    patience = FailureLimit(Path("c"))
    for n in range(FIRST - 1):
        patience.hear(no_memory(n))
        patience.hear(wrong_shape(n))
    with pytest.raises(CampaignError, match=rf"first {2 * FIRST - 1} .* {FIRST} of them in one"):
        patience.hear(wrong_shape(0))


def test_once_something_has_worked_it_takes_more_in_a_row() -> None:
    patience = FailureLimit(Path("c"))
    for _ in range(2):
        patience.hear(WORKED)
        for n in range(1, LATER):
            patience.hear(wrong_shape(n))
    with pytest.raises(CampaignError, match=f"c: the last {LATER} trials of this run all failed"):
        patience.hear(wrong_shape(0))


def test_what_no_constraint_allows_is_no_failure() -> None:
    patience = FailureLimit(Path("c"))
    for _ in range(LATER):
        patience.hear(failure("too slow", cause="infeasible"))
