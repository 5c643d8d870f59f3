"""A predictor that averages nearest neighbours, with faults for the checks to find."""

from collections.abc import Sequence
from statistics import stdev

import numpy as np

from nas.predictors import Features, Prediction, Predictor


class Nearest(Predictor):
    """Averages the nearest neighbours, with one fault at a time."""

    def __init__(self, *, neighbours: int = 5, fault: str = "") -> None:
        self.neighbours = neighbours
        self.fault = fault
        self.known: list[Features] = []
        self.values = np.empty(0)
        self.calls = 0

    def fit(
        self, features: Sequence[Features], values: np.ndarray, rng: np.random.Generator
    ) -> None:
        match self.fault:
            case "memory":
                features, values = [*self.known, *features], np.append(self.values, values)
            case "inputs":
                values -= values.mean()
            case "draws":
                values = values + np.random.normal(size=len(values))
            case "single":
                stdev(values)
            case "hash":
                values = values + int(next(iter({str(number) for number in range(99)})))
        self.known, self.values = list(features), values

    def predict(self, features: Sequence[Features]) -> Prediction:
        self.calls += 1
        apart = np.array([[len(a.items() ^ b.items()) for b in self.known] for a in features])
        if self.fault != "empty":
            apart = apart.reshape(-1, len(self.known))
        nearest = apart.argsort(axis=1, kind="stable")[:, : self.neighbours]
        mean = self.values[nearest].mean(axis=1)
        deviation = np.sqrt(apart.min(axis=1))
        match self.fault:
            case "constant":
                mean = np.full(len(mean), self.values.mean())
            case "shuffled":
                mean = 2 * self.values.mean() - mean
            case "sure":
                deviation = np.ones(len(mean))
            case "calls":
                mean = mean + self.calls
            case "company":
                mean = mean - mean.mean() + self.values.mean()
            case "capped":
                mean = mean.clip(-100, 100)
            case "overflow":
                mean = np.log(np.exp(self.values[nearest]).mean(axis=1))
            case "shape":
                mean = mean[:, None]
            case "negative":
                deviation = deviation - 1
        return Prediction(mean, deviation)
