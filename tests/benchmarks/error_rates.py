"""How often verdicts are wrong, by simulation. Run: ``python -m tests.benchmarks.error_rates``.

Every network has a true mean accuracy. A training with another seed moves it, on the validation
and on the test images alike, and each set of images adds noise of its own. Where all true means are
equal, "better" and "worse" are wrong: that is the error rate, nominally 5 %. The interval covers
where it holds the true difference of the networks that were picked.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nas.analysis.tables.verdict import MARGIN
from nas.analysis.tables.verdict_words import SEEDS
from nas.statistics.paired import SignFlip, holm, holm_levels, paired_t, redrawn_interval
from nas.statistics.picks import forward_means, forward_picks

Floats = NDArray[np.float64]

REPETITIONS = 20_000
ALPHA = 0.05
NOISE = 0.01
"""The standard deviation of an accuracy over seeds."""
SHARED = 0.95
"""The share of its variance that validation and test accuracy of one training have in common."""

MOST = ALPHA + 3 * (ALPHA * (1 - ALPHA) / REPETITIONS) ** 0.5
"""The nominal rate and three standard errors of the simulation."""


class Setting(NamedTuple):
    """One kind of comparison.

    Attributes:
        first: how many searched finalists there are; the best of them is picked.
        second: how many networks there are on the other side; the best is picked.
        seeds: with how many seeds each is retrained.
        searched: whether a search saw accuracies of the second side, too, as random search does.
        spread: the standard deviation of the true means, in units of the noise over seeds.
        images: how many images an accuracy is counted on; None: it is not rounded.
    """

    first: int
    second: int
    seeds: int
    searched: bool = False
    spread: float = 0.0
    images: int | None = None


class Rates(NamedTuple):
    """The shares of repetitions that are called better or worse, and whose interval covers."""

    better: float
    worse: float
    covered: float

    @property
    def wrong(self) -> float:
        """The error rate where all true means are equal."""
        return self.better + self.worse


class _Side(NamedTuple):
    """Simulated networks: arrays are [repetitions, networks] or [repetitions, networks, seeds]."""

    means: Floats
    before: Floats | None
    validation: Floats
    test: Floats

    def picked(self, by: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """The test accuracies and the true means of the picks [repetitions, seeds]."""
        test = np.take_along_axis(self.test, by[:, None, :], axis=1)[:, 0]
        return test, np.take_along_axis(self.means, by, axis=1)


def _side(
    rng: np.random.Generator, networks: int, setting: Setting, repetitions: int, searched: bool
) -> _Side:
    shape = (repetitions, networks, setting.seeds)
    means = 0.9 + NOISE * setting.spread * rng.normal(size=shape[:2])
    common = means[..., None] + NOISE * SHARED**0.5 * rng.normal(size=shape)
    own = NOISE * (1 - SHARED) ** 0.5

    def seen() -> Floats:
        accuracy = common + own * rng.normal(size=shape)
        images = setting.images
        return accuracy if images is None else np.round(accuracy * images) / images

    before = means + NOISE * rng.normal(size=shape[:2]) if searched else None
    return _Side(means, before, seen(), seen())


def _sides(setting: Setting, repetitions: int) -> tuple[_Side, _Side]:
    rng = np.random.default_rng(setting.seeds)
    first = _side(rng, setting.first, setting, repetitions, searched=True)
    return first, _side(rng, setting.second, setting, repetitions, setting.searched)


def _rates(apart: Floats, truth: Floats, resolution: float = 0.0) -> Rates:
    test = paired_t(apart, ALPHA, resolution)
    wrong = test.p <= ALPHA
    covered = (test.low <= truth + 1e-12) & (truth - 1e-12 <= test.high)
    better, worse = wrong & (test.mean > 0), wrong & (test.mean < 0)
    return Rates(float(better.mean()), float(worse.mean()), float(covered.mean()))


def before(setting: Setting, repetitions: int = REPETITIONS) -> Rates:
    """Pick by the validation accuracy of the same trainings whose test accuracy is judged."""
    sides = _sides(setting, repetitions)
    picks = [side.validation.mean(axis=2).argmax(axis=1)[:, None] for side in sides]
    picks = [np.repeat(pick, setting.seeds, axis=1) for pick in picks]
    (first, its_means), (second, others_means) = (
        side.picked(pick) for side, pick in zip(sides, picks, strict=True)
    )
    return _rates(first - second, (its_means - others_means).mean(axis=1))


def after(setting: Setting, repetitions: int = REPETITIONS) -> Rates:
    """Pick for each seed by the seeds before it, as verdicts do."""
    sides = _sides(setting, repetitions)
    picks = [forward_picks(side.validation, side.before) for side in sides]
    judged = (picks[0][0] >= 0) & (picks[1][0] >= 0)  # of all repetitions alike
    (first, its_means), (second, others_means) = (
        side.picked(pick) for side, pick in zip(sides, picks, strict=True)
    )
    apart = (first - second)[:, judged]
    truth = (its_means - others_means)[:, judged].mean(axis=1)
    return _rates(apart, truth, 1 / setting.images if setting.images else 0.0)


def family(seeds: int, repetitions: int = REPETITIONS) -> Rates:
    """Two comparisons of one table with Holm's correction: any wrong word, and each interval."""
    rng = np.random.default_rng(seeds)
    first, *others = NOISE * rng.normal(size=(3, repetitions, seeds))
    apart = np.stack([first - other for other in others], axis=1)
    p = paired_t(apart).p
    levels = np.array([holm_levels(pair, ALPHA) for pair in p])
    test = paired_t(apart, levels)
    wrong = (holm(p) <= ALPHA).any(axis=1)
    excluded = (test.low > 0) | (test.high < 0)
    assert (excluded.any(axis=1) == wrong).all()
    return Rates(float(wrong.mean()), 0.0, float(1 - excluded.mean()))


def equal_cost(classics: int, seeds: int, repetitions: int = REPETITIONS) -> Rates:
    """The best of 5 searched against the best of the classics of at most its cost.

    Costs are drawn at random. Each seed allows the classics that cost at most as much as what the
    earlier seeds picked.
    """
    rng = np.random.default_rng(seeds)
    setting = Setting(5, classics, seeds)
    searched, others = _sides(setting, repetitions)
    costs = rng.uniform(size=(repetitions, 5))
    picked = forward_picks(searched.validation, searched.before)
    most = np.take_along_axis(costs, picked, axis=1)[:, None, :]
    allowed = rng.uniform(size=(repetitions, classics, 1)) <= most
    against = forward_picks(others.validation, others.before, allowed)
    return _ragged(searched.picked(picked)[0] - others.picked(against)[0], against >= 0)


def cheaper(seeds: int, loss: float, repetitions: int = REPETITIONS) -> tuple[Rates, float]:
    """The cheapest of 5 searched that matches a classic, by the earlier seeds, against it.

    Args:
        seeds: with how many seeds each is retrained.
        loss: how much worse than the classic each searched network truly is.
        repetitions: how often it is simulated.

    Returns the rates, and how often the searched one is called as good or better.
    """
    rng = np.random.default_rng(seeds)
    searched, classic = _sides(Setting(5, 1, seeds), repetitions)
    own = forward_means(searched.validation - loss, searched.before - loss)
    matches = (own >= forward_means(classic.validation)) & np.isfinite(
        forward_means(classic.validation)
    )
    costs = np.where(matches, rng.uniform(size=(repetitions, 5, 1)), np.inf)
    apart = searched.picked(costs.argmin(axis=1))[0] - loss - classic.test[:, 0]
    judged = np.isfinite(costs).any(axis=1)
    return _ragged(apart, judged), _ragged(apart + MARGIN, judged).better


def _ragged(apart: Floats, judged: NDArray[np.bool_]) -> Rates:
    """The rates of differences of which not every seed judges; fewer than three say nothing."""
    better = worse = excluded = 0.0
    for pattern in np.unique(judged, axis=0):
        rows = (judged == pattern).all(axis=1)
        if pattern.sum() < SEEDS:
            continue
        rates = _rates(apart[rows][:, pattern], np.zeros(rows.sum()))
        better, worse = better + rates.better * rows.sum(), worse + rates.worse * rows.sum()
        excluded += (1 - rates.covered) * rows.sum()
    return Rates(better / len(apart), worse / len(apart), 1 - excluded / len(apart))


def benchmark(seeds: int, repetitions: int = 2_000) -> Rates:
    """Two searchers with the same distribution of regret, which is skewed and full of ties."""
    rng = np.random.default_rng(seeds)
    regret = np.round(np.maximum(rng.gamma(1.0, 0.4, (2, repetitions, seeds)) - 0.2, 0), 1)
    tests = [SignFlip(difference) for difference in regret[0] - regret[1]]
    wrong = [test.p <= ALPHA for test in tests]
    better = float(np.mean([w and test.mean < 0 for w, test in zip(wrong, tests, strict=True)]))
    ends = np.array([test.interval(ALPHA) for test in tests])
    covered = ~((ends[:, 0] > 0) | (ends[:, 1] < 0))
    return Rates(better, float(np.mean(wrong)) - better, float(covered.mean()))


ERRORS = [
    *(Setting(searched, 1, seeds) for searched in (5, 20) for seeds in (3, 5, 10)),
    *(Setting(k, k, seeds, searched=True) for k in (5, 20) for seeds in (3, 5, 10)),
    *(Setting(5, 3, seeds) for seeds in (5, 10)),
    *(Setting(5, 1, seeds, images=images) for images in (50, 360) for seeds in (3, 5, 10)),
]
"""All true means are equal. Several classics have no accuracy that a search saw, so the first seed
only picks."""

SPREAD = [
    *(Setting(searched, 1, seeds, spread=1) for searched in (5, 20) for seeds in (3, 5, 10)),
    *(Setting(k, k, seeds, searched=True, spread=1) for k in (5, 20) for seeds in (3, 5, 10)),
]
"""True means differ as much as a training differs from another with another seed."""


def redrawn(seeds: int, images: int, repetitions: int = 2_000) -> tuple[float, float]:
    """Two networks that are equally good on all images of the world, each time on another few.

    A network is right where its score for an image is below 1.3, as for 90 % of images. Scores
    vary with the image for both networks, with the image for each network, with the training, and
    with both.

    Returns how often the interval over seeds alone leaves out zero, and that over images too.
    """
    rng = np.random.default_rng(seeds)
    wrong = np.zeros((repetitions, 2), dtype=bool)
    for repetition in range(repetitions):
        scores = 0.6 * rng.normal(size=images) + np.stack([
            0.6 * rng.normal(size=images)
            + 0.05 * rng.normal(size=(seeds, 1))
            + 0.53 * rng.normal(size=(seeds, images))
            for _ in range(2)
        ])  # fmt: skip
        first, second = (scores < 1.3).astype(float)
        apart = first - second
        test = paired_t(apart.mean(axis=1), ALPHA, 1 / images)
        low, high = redrawn_interval(apart, ALPHA, 1 / images)
        wrong[repetition] = not test.low <= 0 <= test.high, not low <= 0 <= high
    alone, both = wrong.mean(axis=0).tolist()
    return alone, both


def table() -> Iterator[str]:
    """The lines of ``results/error_rates.md``."""
    yield f"""# Error rates of verdicts

Made by `python -m tests.benchmarks.error_rates`: {REPETITIONS:,} simulated repetitions per row.
All networks have the same true mean accuracy, so "better" and "worse" are wrong. Nominal is 5 %,
and the simulation's own error allows {100 * MOST:.2f} %. Over seeds an accuracy has a standard
deviation of {100 * NOISE:g} %, of whose variance {100 * SHARED:g} % is common to the validation and
the test images. Before: the best is picked by the validation accuracy of the same trainings whose
test accuracy is judged. After: each seed judges the networks that the seeds before it picked
(`nas.statistics.picks.forward_picks`), by a paired t test with a 95 % interval
(`nas.statistics.paired.paired_t`).
"""
    yield (
        "| compared | seeds | test images | wrong before, % | wrong after, % | interval covers"
        " before, % | after, % |"
    )
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for setting in ERRORS:
        old, new = before(setting), after(setting)
        rates = [old.wrong, new.wrong, old.covered, new.covered]
        yield _row(_compared(setting), setting.seeds, setting.images or "any", *_percent(rates))
    yield """
True means differ, by a standard deviation as large as that over seeds: how often the interval
covers the true difference of what was picked. An interval that covers more often than it says is
safe: before each seed, other networks may be picked, and their differences widen it.

| compared | seeds | interval covers before, % | after, % |
|---|---:|---:|---:|"""
    for setting in SPREAD:
        covered = [before(setting).covered, after(setting).covered]
        yield _row(_compared(setting), setting.seeds, *_percent(covered))
    yield """
Two comparisons in one table with Holm's correction: how often any word is wrong, and how often an
interval covers (each is widened to the level at which Holm's procedure judges it).

| seeds | any wrong, % | interval covers, % |
|---:|---:|---:|"""
    for seeds in (3, 5, 10):
        rate = family(seeds)
        yield _row(seeds, *_percent([rate.wrong, rate.covered]))
    yield """
The best of 5 searched against the best classic of at most its cost, where costs are drawn at
random. Each seed compares networks that the seeds before it picked under this rule.

| classics | seeds | wrong, % | interval covers, % |
|---:|---:|---:|---:|"""
    for classics in (1, 3, 8):
        for seeds in (4, 5, 10):
            rate = equal_cost(classics, seeds)
            yield _row(classics, seeds, *_percent([rate.wrong, rate.covered]))
    yield f"""
The cheapest of 5 searched that matches a classic by validation against this classic. Where all true
means are equal, "better" and "worse" are wrong. Where each searched network is truly worse by the
margin, {MARGIN:g}, "as good" is wrong, too; its nominal rate is 2.5 %.

| seeds | equal: wrong, % | worse by the margin: called as good or better, % |
|---:|---:|---:|"""
    for seeds in (4, 5, 10):
        rate, as_good = cheaper(seeds, 0.0)[0], cheaper(seeds, MARGIN)[1]
        yield _row(seeds, *_percent([rate.wrong, as_good]))
    yield """
Two searchers on a benchmark whose regrets have the same skewed distribution with many ties, by the
sign-flip test (`nas.statistics.paired.SignFlip`), 2,000 repetitions.

| seeds | wrong, % | interval covers, % |
|---:|---:|---:|"""
    for seeds in (6, 10, 30):
        rate = benchmark(seeds)
        yield _row(seeds, *_percent([rate.wrong, rate.covered]))
    yield """
Two networks that are equally good on all images of the world, but not on each of the few test
images: how often an interval leaves out zero, nominally 5 %, 2,000 repetitions. That over seeds
takes the test images as given. The other one (`nas.statistics.paired.redrawn_interval`) is for
another draw of images, too, and is the last clause of a verdict.

| seeds | test images | over seeds, % | over seeds and images, % |
|---:|---:|---:|---:|"""
    for images in (360, 2_000):
        for seeds in (3, 5, 10):
            yield _row(seeds, f"{images:,}", *_percent(list(redrawn(seeds, images))))
    yield """
What a verdict does not say: random search against an identical random search, each run once. Their
networks have other true means, so "better" is right about the networks, and says nothing about the
searchers. With unlike numbers of finalists, the side with more has the better best.

| compared | seeds | called better, % | called worse, % |
|---|---:|---:|---:|"""
    for first, second in ((5, 1), (5, 5)):
        for seeds in (3, 5, 10):
            setting = Setting(first, second, seeds, searched=True, spread=1)
            rate = after(setting)
            yield _row(_compared(setting), seeds, *_percent([rate.better, rate.worse]))


def _compared(setting: Setting) -> str:
    other = "of random search" if setting.searched else "classic" + "s" * (setting.second > 1)
    return f"best of {setting.first} searched, best of {setting.second} {other}"


def _percent(rates: list[float]) -> list[str]:
    return [f"{100 * rate:.1f}" for rate in rates]


def _row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def main() -> None:
    """Print the tables."""
    for line in table():
        print(line, flush=True)


if __name__ == "__main__":
    main()
