"""Draws the plots of a campaign by name and writes them to files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from nas.analysis.plots.campaign import Campaign, read
from nas.analysis.plots.choices import operations
from nas.analysis.plots.course import fidelities, workers
from nas.analysis.plots.distributions import choices, durations
from nas.analysis.plots.importance import importance
from nas.analysis.plots.lineage import lineage
from nas.analysis.plots.mixtures import mixtures
from nas.analysis.plots.networks import curves, ranks, tradeoff
from nas.analysis.plots.parallel import parallel
from nas.analysis.plots.progress import hypervolume, incumbent
from nas.analysis.plots.reliability import reliability
from nas.analysis.plots.style import STYLE, picture
from nas.errors import InputError
from nas.files import subfolder, write_whole
from nas.registry import unknown

KINDS: dict[str, Callable[[Campaign], Figure | str]] = {
    "incumbent": incumbent,
    "tradeoff": tradeoff,
    "curves": curves,
    "hypervolume": hypervolume,
    "operations": operations,
    "importance": importance,
    "choices": choices,
    "parallel": parallel,
    "fidelities": fidelities,
    "lineage": lineage,
    "mixtures": mixtures,
    "workers": workers,
    "durations": durations,
    "reliability": reliability,
    "ranks": ranks,
}
"""The functions by kind; each returns a campaign's figure, or why it has none."""

FORMATS = ["svg", "png", "pdf"]


def figure(kind: str, campaign: Campaign | Path) -> Figure | str:
    """Draws a plot of a campaign, or returns one line that says why it cannot be drawn.

    Args:
        kind: one of :data:`KINDS`.
        campaign: its folder, or the result of :func:`nas.analysis.plots.campaign.read`.

    Raises :class:`InputError` for an unknown kind, and as :func:`read` does.
    """
    if kind not in KINDS:
        raise InputError(f"--kind: {unknown('plot', kind, KINDS)}")
    frames = read(campaign) if isinstance(campaign, Path) else campaign
    with matplotlib.rc_context(STYLE):
        return KINDS[kind](frames)


def plot(
    folder: Path, kinds: Sequence[str] = (), form: str = "svg", out: Path | None = None
) -> list[str]:
    """Writes plots of a campaign as ``KIND.FORM``; returns each one's path, or why it is missing.

    Args:
        folder: the folder of the campaign.
        kinds: some of :data:`KINDS`; all if empty.
        form: one of :data:`FORMATS`.
        out: a folder, which is created if it is missing; by default ``plots`` in the campaign's.

    Raises :class:`InputError` for unknown kinds and formats, or if there are no records.
    """
    if form not in FORMATS:
        raise InputError(f"--format: {unknown('format', form, FORMATS)}")
    for kind in kinds:
        if kind not in KINDS:
            raise InputError(f"--kind: {unknown('plot', kind, KINDS)}")
    campaign = read(folder)
    target = subfolder(folder, "plots") if out is None else out
    lines = []
    for kind in kinds or KINDS:
        drawn = figure(kind, campaign)
        if isinstance(drawn, str):
            lines.append(f"{kind}: left out: {drawn}")
            continue
        target.mkdir(parents=True, exist_ok=True)
        path = target / f"{kind}.{form}"
        write_whole(path, picture(drawn, form))
        lines.append(f"wrote {path}")
    return lines
