"""The options of a searcher, as ``campaign.yaml`` and ``benchmark.yaml`` give them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nas.configuration import Named
from nas.user_code import rooted


def own_options(entry: Named) -> dict[str, Any]:
    """Returns the options of a searcher's own constructor; those of where it starts are not."""
    own = ("initial", "warm_start")
    return {key: value for key, value in entry.options.items() if key not in own}


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
