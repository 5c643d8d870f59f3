"""A training with a deadline: its schedules follow the steps, or the time if less of it is left."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from nas.training import deadline
from nas.training.data import Part, SearchData
from nas.training.deadline import Deadline
from nas.training.loop import Trainer
from nas.training.recipe import resolve


class Clock:
    """A clock that only moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1e9

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(deadline, "time", made)
    return made


@given(
    seconds=st.floats(0.01, 5), limit=st.floats(1, 100), steps=st.integers(1, 50),
    evaluated=st.integers(0, 20),
)  # fmt: skip
def test_it_ends_in_time_and_schedules_end_with_it(
    seconds: float, limit: float, steps: int, evaluated: int
) -> None:
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deadline, "time", clock)
        made = Deadline(clock.now + limit, evaluated)
        positions = []
        for step in range(steps):
            positions.append(made.position(step, steps))
            if made.over:
                break
            clock.now += seconds
            made.trained(10)
        assert positions == sorted(positions)
        assert all(position >= step for step, position in enumerate(positions))
        closing = evaluated * seconds / 10 / 2  # an image takes half of its training
        if made.over:
            assert positions[-1] == steps
            assert clock.now - 1e9 <= limit + seconds  # the last step began before the end
            assert clock.now + closing >= 1e9 + limit - 1e-6
        elif steps * seconds + closing < limit * (1 - 1e-9):
            assert positions == list(range(steps))


def test_without_a_deadline_nothing_changes() -> None:
    made = Deadline()
    assert [made.position(step, 7) for step in range(7)] == [*range(7)]
    again = Deadline()
    again.progress = made.progress
    assert [again.position(step, 14) for step in range(12, 14)] == [12, 13]
    assert not made.over


def data() -> SearchData:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (64, 1, 4, 4)).astype(np.uint8)
    part = Part(images, np.arange(64) % 2)
    return SearchData(part, part, (127.0,), (70.0,), 2, "")


def trainer(until: Deadline | None) -> Trainer:
    recipe = resolve({"preset": "quick", "epochs": 10, "batch_size": 8, "augment": []})
    build = lambda: nn.Sequential(nn.Flatten(), nn.Linear(16, 2))  # noqa: E731
    return Trainer(build, data(), recipe, seed=0, deadline=until)


def test_a_network_is_trained_for_one_step_at_least(clock: Clock) -> None:
    late = trainer(Deadline(clock.now - 5, 64))
    before = [each.clone() for each in late.network.parameters()]
    assert len(late.run(10).curve) == 1
    assert late.out_of_time
    after = list(late.network.parameters())
    assert all(torch.isfinite(each).all() for each in after)
    assert len(before) == len(after)


def test_a_continued_training_goes_on_where_its_schedule_was(clock: Clock) -> None:
    first = trainer(Deadline(clock.now + 100, 64))
    first.run(2)
    clock.now += 50
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    until = Deadline(clock.now + 10, 64)
    second = trainer(until)
    second.load_state_dict(torch.load(file, weights_only=True))
    assert until.position(16, 80) == pytest.approx(16)
    clock.now += 5
    assert until.position(17, 80) == pytest.approx(16 + 64 / 2, abs=2)


def test_seconds_count_from_the_first_step(clock: Clock) -> None:
    made = Deadline(clock.now + 1000, seconds=10)
    clock.now += 500
    for step in range(11):
        assert made.position(step, 100) == pytest.approx(10 * step)
        assert made.over == (step == 10)
        clock.now += 1


def test_slow_first_steps_do_not_end_a_training(clock: Clock) -> None:
    """As on a busy machine: by these steps, the evaluation would take longer than there is time."""
    made = Deadline(clock.now + 40, evaluated=4500)
    for step in range(1_000_000):
        made.position(step, 10**6)
        if made.over:
            break
        clock.now += 2 if step < 2 else 0.01
        made.trained(64)
    # By then, an image takes about 0.01 / 64 s, and half of that in an evaluation.
    assert 35 < clock.now - 1e9 < 40 - 4500 * 0.01 / 64 / 2


def test_speed_leaves_out_the_first_step_and_evaluations(clock: Clock) -> None:
    made = Deadline(clock.now + 100, evaluated=10)
    for step, seconds in enumerate([5, 1, 1, 1]):
        made.position(step, 4)
        clock.now += seconds
        made.trained(8)
        assert made.speed == pytest.approx(8 / 5 if step == 0 else 8)
        clock.now += 2
        made.evaluated(10, 2)
