"""An evaluator: an accuracy that is a function of the architecture alone."""

import json


def evaluate(request, *, offset: float = 0.0):
    nodes = json.loads(request["architecture"])["nodes"]
    width = next(node["channels"] for node in nodes if "channels" in node)
    accuracy = width / 10 + offset
    found = {"validation_accuracy": accuracy}
    if request["test"]:
        found["test_accuracy"] = accuracy - 0.1
    return found
