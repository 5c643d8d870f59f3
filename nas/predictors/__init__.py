"""Predictors: models that predict the value of a genotype, and how uncertain that is."""

from nas.predictors.base import Features, Prediction, Predictor
from nas.registry import Registry

PREDICTORS = Registry(
    "predictor",
    {
        "boosted_trees": "nas.predictors.trees:BoostedTrees",
        "ensemble": "nas.predictors.ensemble:Ensemble",
        "forest": "nas.predictors.trees:Forest",
        "gaussian_process": "nas.predictors.gaussian_process:GaussianProcess",
    },
    subclass_of="nas.predictors.base:Predictor",
)

__all__ = ["PREDICTORS", "Features", "Prediction", "Predictor"]
