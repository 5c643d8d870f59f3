"""The forms in which `nas export` writes a campaign, or the search itself, for other tools."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from nas.files import write_output


def _optuna(name: str, out: str | None) -> str:
    from nas.integrations.optuna_study import optuna_studies

    place = out or f"{Path(name).name}.db"
    return f"wrote to {place}: {', '.join(optuna_studies(Path(name), place))}"


def _tensorboard(name: str, out: str | None) -> str:
    from nas.integrations.tensorboard import write_scalars

    place = Path(out or f"{Path(name).name}_tensorboard")
    runs = write_scalars(Path(name), place)
    return f"wrote {runs} runs; see them with: tensorboard --logdir {place}"


def _card(name: str, out: str | None) -> str:
    from nas.integrations.model_card import model_card

    place = Path(out or re.sub(r"\W+", "_", Path(name).name) + ".md")
    write_output(place, model_card(name))
    return f"wrote {place}"


def _submission(name: str, out: str | None) -> str:
    from nas.integrations.submission import write_submission

    place = Path(out or name)
    return f"wrote {place}: {', '.join(write_submission(place))}"


BRIDGES: dict[str, Callable[[str, str | None], str]] = {
    "optuna": _optuna,
    "tensorboard": _tensorboard,
    "card": _card,
    "submission": _submission,
}
"""For each form, the function that takes NAME and --out and returns the text to print."""
