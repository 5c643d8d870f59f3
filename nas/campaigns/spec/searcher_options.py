"""The options of a searcher, as ``campaign.yaml`` and ``benchmark.yaml`` give them."""

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nas.configuration import Named
from nas.searchers import SEARCHERS
from nas.user_code import rooted

_COMMON = ("initial", "warm_start", "filter", "proxies")
"""The options of all searchers, except of those whose constructor has an option of this name."""


def own_options(entry: Named) -> dict[str, Any]:
    """Returns the options of a searcher's own constructor, without those of all searchers."""
    common = common_options(entry)
    return {key: each for key, each in entry.options.items() if key not in common}


def common_options(entry: Named) -> dict[str, Any]:
    """Returns the options that do not depend on the searcher.

    Raises :class:`nas.errors.InputError` for an unknown searcher.
    """
    own = inspect.signature(SEARCHERS[entry.name]).parameters
    return {k: v for k, v in entry.options.items() if k in _COMMON and k not in own}


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
