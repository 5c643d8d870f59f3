"""The options of a searcher, as ``campaign.yaml`` and ``benchmark.yaml`` give them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nas.campaigns.spec.screening import KEYS
from nas.configuration import Named
from nas.user_code import rooted


def own_options(entry: Named) -> dict[str, Any]:
    """Returns the options of a searcher's own constructor, without those of all searchers."""
    return {key: each for key, each in entry.options.items() if key not in ("initial", *KEYS)}


def code(entry: Named, folder: Path) -> Iterator[str]:
    """Yields the names of a searcher, and of the parts in its options: a predictor, a searcher."""
    yield entry.name
    yield from _parts(rooted(own_options(entry), folder))


def _parts(options: Mapping[str, Any]) -> Iterator[str]:
    for given in (options.get("model"), options.get("searcher")):
        part = {"name": given} if isinstance(given, str) else given
        if isinstance(part, Mapping):
            yield str(part.get("name"))
            yield from _parts(part)
