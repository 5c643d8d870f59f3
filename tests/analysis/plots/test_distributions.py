import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score

from nas.analysis.plots.distributions import explained


def test_what_a_choice_explains_is_the_adjusted_r2_of_its_indicators() -> None:
    rng = np.random.default_rng(0)
    genotypes = pd.DataFrame(
        {
            "decides": rng.integers(3, size=60),
            "many": rng.integers(20, size=60),
            "words": rng.choice(["a", "b"], 60),
            "same": 1,
        },
        dtype=object,
    )
    genotypes.loc[:9, "words"] = None  # not asked
    values = pd.Series(genotypes["decides"].astype(float) + rng.normal(0, 0.5, 60))
    found = explained(genotypes, values)
    assert found.index[0] == "decides"
    assert "same" not in found
    for name, share in found.items():
        own = genotypes[name].notna()
        indicators = pd.get_dummies(genotypes.loc[own, name].astype(str))
        model = LinearRegression().fit(indicators, values[own])
        r2, n, k = r2_score(values[own], model.predict(indicators)), own.sum(), indicators.shape[1]
        assert share == pytest.approx(1 - (1 - r2) * (n - 1) / (n - k)), name
