"""Below a table: how proxies ranked what was trained, beside the number of parameters."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from nas.analysis.tables.networks import campaign_table
from tests.analysis.tables.test_networks import COST, SPECIFICATION, ask, result, write

EVALUATOR = {"name": "training", "proxies": ["snip", "mine.py:own"], "batch": 64}
REPORTED = [{"name": name, "direction": "maximize"} for name in ("snip", "own")]


def found(folder: Path, snip: Any, own: Any, params: Any, accuracy: Any) -> list[str]:
    records = []
    for number, each in enumerate(zip(snip, own, params, accuracy, strict=True)):
        trial = f"random-{number:04d}"
        made = ask(trial, "search", "random", cost=COST | {"params": int(each[2])})
        made |= {"number": number, "search": "random", "fingerprint": trial}
        ended = result(trial, float(each[3]))
        ended["metrics"] |= {"snip": each[0], "own": each[1]}
        records += [made, ended]
    specification = SPECIFICATION | {"evaluator": EVALUATOR, "metrics": {"reported": REPORTED}}
    write(folder, records, specification)
    return [n for n in campaign_table(folder).attrs["notes"] if n.startswith("proxy ")]


def test_the_notes_compare_each_proxy_with_the_parameters(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    accuracy = rng.uniform(size=50)
    params = (1000 * (accuracy + rng.normal(scale=0.5, size=50))).round() + 2000
    snip = (accuracy + rng.normal(scale=0.05, size=50)).tolist()
    own = [None, *(params[1:] + rng.normal(scale=50, size=49)).tolist()]
    better, same = found(tmp_path, snip, own, params, accuracy)
    every = [stats.spearmanr(each, accuracy).statistic for each in (snip, params)]
    best = np.argsort(accuracy)[-10:]
    fifth = [stats.spearmanr(np.array(e)[best], accuracy[best]).statistic for e in (snip, params)]
    assert better == (
        f"proxy snip: rank correlation with validation accuracy of 50 trained networks "
        f"{every[0]:.2f}, in the best fifth {fifth[0]:.2f}; that of params {every[1]:.2f} and "
        f"{fifth[1]:.2f}: better than counting parameters" + better[better.rindex(" (p ") :]
    )
    assert same.startswith("proxy own: rank correlation with validation accuracy of 49 trained")
    assert ": no better than counting parameters (p 0." in same


def test_predictions_are_judged_by_what_was_trained_next(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    accuracy = rng.uniform(size=40)
    predicted = -accuracy + rng.normal(scale=0.1, size=40)  # of the objective, minimised
    params = rng.integers(1000, 2000, size=40)
    records = []
    for number, value in enumerate(accuracy.tolist()):
        trial = f"predictor-{number:04d}"
        made = ask(trial, "search", "searched", cost=COST | {"params": int(params[number])})
        made |= {"number": number, "search": "predictor", "fingerprint": trial}
        if number >= 10:  # the first ones are random
            made["note"] = {"predicted": predicted[number]}
        if number == 39:  # made for another fidelity than that of the trial
            made["note"] |= {"model": 27}
        records += [made, result(trial, value)]
    write(tmp_path, records, SPECIFICATION)
    (note,) = [n for n in campaign_table(tmp_path).attrs["notes"] if n.startswith("predictions")]
    judged = [stats.spearmanr(e[10:39], accuracy[10:39]).statistic for e in (-predicted, params)]
    assert note.startswith(
        "predictions of predictor: rank correlation with validation accuracy of 29 trained "
        f"networks {judged[0]:.2f}, in the best fifth "
    )
    assert f"; that of params {judged[1]:.2f} and " in note
    assert ": better than counting parameters (p " in note


def test_predictions_of_a_metric_that_only_an_evaluator_knows_are_judged(tmp_path: Path) -> None:
    records = []
    for number in range(12):
        trial = f"predictor-{number:04d}"
        made = ask(trial, "search", "searched", cost=COST | {"params": 1000 + number % 5})
        made |= {"number": number, "search": "predictor", "note": {"predicted": -float(number)}}
        ended = result(trial, 0.5)
        ended["metrics"] = {"signal_to_noise": float(number)}
        records += [made | {"fingerprint": trial}, ended]
    objective = {"metric": "signal_to_noise", "direction": "maximize"}
    evaluator = {"name": "mine.py:evaluate"}
    write(tmp_path, records, {"objectives": [objective], "evaluator": evaluator})
    (note,) = [n for n in campaign_table(tmp_path).attrs["notes"] if n.startswith("predictions")]
    assert "rank correlation with signal to noise of 12 networks 1.00, in the best 4 1.00;" in note


def searched(
    search: str, values: Any, fidelity: int | None = None, **fields: Any
) -> list[dict[str, Any]]:
    records = []
    for number, value in enumerate(values, 100 * (fidelity or 0)):
        trial = f"{search}-{number:04d}"
        made = ask(trial, "search", "searched", number=number, search=search, fingerprint=trial)
        made["cost"] = COST | {"flops": int(1e6 * value)}
        made |= {"fidelity": fidelity} if fidelity else {}
        records += [made | fields, result(trial, float(value))]
    return records


def noted(folder: Path, records: list[dict[str, Any]], **more: Any) -> list[str]:
    write(folder, records, SPECIFICATION | more)
    notes = campaign_table(folder).attrs["notes"]
    return [each for each in notes if each.startswith(("proxy", "predictions"))]


ACCURACY = np.random.default_rng(3).uniform(size=12)


@pytest.mark.parametrize(
    ("evaluator", "networks"), [({}, "trained networks"), ({"name": "tabular"}, "networks")]
)
def test_what_a_warm_start_chose_by_is_judged(
    tmp_path: Path, evaluator: dict[str, str], networks: str
) -> None:
    for proxy, said in (
        (
            "flops",
            f"rank correlation with validation accuracy of 12 {networks} 1.00, in the best 4 1.00; "
            "that of params undefined and undefined: better than counting parameters (p ",
        ),
        ("params", f"rank correlation with validation accuracy of 12 {networks} undefined, in the "
                   "best 4 undefined"),
        ("depth", f"0 {networks} with recorded values are too few to say how it ranks; 10 are "
                  "needed"),
    ):  # fmt: skip
        warm = {"name": "evolution", "warm_start": {"proxy": proxy, "candidates": 9, "keep": 2}}
        records = searched("evolution", ACCURACY)
        (note,) = noted(tmp_path, records, searcher=warm, evaluator=evaluator)
        assert note.startswith(f"proxy {proxy}: {said}")
        assert ("that of params" in note) == (proxy == "flops")


def test_trials_without_a_fidelity_are_full_ones(tmp_path: Path) -> None:
    records = [*searched("random", ACCURACY), *searched("asha", ACCURACY, 6)]
    records += searched("asha", ACCURACY[::-1], 2)  # of 6 epochs
    for record in records[1::2]:
        record["metrics"]["snip"] = 1.0
    (note,) = noted(tmp_path, records, evaluator=EVALUATOR | {"proxies": ["snip"]})
    assert note.startswith("proxy snip: rank correlation with validation accuracy of 24 trained ")


def test_predictions_are_judged_at_one_fidelity(tmp_path: Path) -> None:
    records = [
        *searched("hyperband", ACCURACY / 2, 2),
        *searched("hyperband", (1 + ACCURACY) / 2, 6),
    ]
    records += searched("hyperband", [1.0], 18)
    for made, ended in zip(records[::2], records[1::2], strict=True):
        made["note"] = {"predicted": -ended["metrics"]["validation_accuracy"]}
    (note,) = noted(tmp_path, records)
    assert note.startswith(
        "predictions of hyperband at fidelity 6: rank correlation with validation accuracy of 12 "
        "trained networks 1.00, in the best 4 1.00; "
    )


def test_few_networks_are_not_judged(tmp_path: Path) -> None:
    values = list(range(9))
    assert found(tmp_path, values, values, values, np.linspace(0, 1, 9))[0] == (
        "proxy snip: 9 trained networks are too few to say how it ranks; 10 are needed"
    )


@pytest.mark.parametrize("name", ["mine.py:evaluate", "tabular"])
def test_options_of_other_evaluators_are_not_proxies(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EVALUATOR, "name", name)
    assert not found(tmp_path, [1.0], [1.0], [1], [0.5])


def test_shared_weights_are_judged_by_the_networks_that_were_retrained(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    shared, accuracy = rng.uniform(size=12), rng.uniform(size=(12, 2))
    records = []
    for number, value in enumerate(shared):
        trial = f"random-{number:04d}"
        made = ask(trial, "search", "random", cost=COST | {"params": 1000 + number})
        made |= {"number": number, "search": "random", "fingerprint": trial}
        records += [made, result(trial, float(value))]
    for number, values in enumerate(accuracy):
        for seed, value in enumerate(values):
            trial = f"final-random-{number:04d}-seed{seed}"
            made = ask(trial, "final", "random", cost=COST | {"params": 1000 + number})
            made |= {"label": f"random-{number:04d}", "seed": seed}
            records += [made | {"fingerprint": f"{number}"}, result(trial, float(value))]
    specification = SPECIFICATION | {"evaluator": {"name": "supernet", "epochs": 5}}
    write(tmp_path, records, specification)
    (note,) = [
        each
        for each in campaign_table(tmp_path).attrs["notes"]
        if each.startswith("shared weights: ")
    ]
    expected = stats.spearmanr(shared, accuracy.mean(axis=1)).statistic
    assert f"of 12 trained networks {expected:.2f}, in the best 4 " in note
    assert "counting parameters (p " in note
