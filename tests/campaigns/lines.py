"""The lines of a campaign's records as plain JSON, read without the program that wrote them."""

import json
from pathlib import Path
from typing import Any

from nas.campaigns.store.types import Ask, Result


def read_records(folder: Path) -> list[dict[str, Any]]:
    """Every line; a last one that a crash has torn, or that is being written, is left out."""
    path = folder / "records.jsonl"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [json.loads(line) for line in text.rpartition("\n")[0].splitlines()]


def ask(**fields: Any) -> Ask:
    """An ask of the search stage, with what is of no matter filled in."""
    given: dict[str, Any] = {
        "trial": "a-0000", "stage": "search", "kind": "searched", "seed": 0, "fingerprint": "f",
        "search": "a", "number": 0, "note": {}, "genotype": {},
        "cost": dict.fromkeys(("params", "macs", "flops", "activations"), 1),
    }  # fmt: skip
    return Ask(**{**given, **fields})


def result(**fields: Any) -> Result:
    """A result, with what is of no matter filled in."""
    given: dict[str, Any] = {
        "trial": "a-0000", "status": "completed", "metrics": {}, "error": None, "seconds": 0.0,
    }  # fmt: skip
    return Result(**{**given, **fields})
