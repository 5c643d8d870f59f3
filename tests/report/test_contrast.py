"""The colours of a report can be read: contrast by WCAG 2.2, success criterion 1.4.3."""

import re
from pathlib import Path

import pytest

import nas.report

STYLE = (Path(nas.report.__file__).parent / "style.css").read_text(encoding="utf-8")
THEMES = {"light": ":root {", "dark": ':root[data-theme="dark"] {'}
WRITTEN = ("ink", "muted", "accent", "searched", "random", "classic", "ensemble")


def colours(theme: str) -> dict[str, str]:
    block = STYLE.partition(THEMES[theme])[2].partition("}")[0]
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))


def luminance(colour: str) -> float:
    shares = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_black_on_white_is_21() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("behind", ["page", "panel"])
def test_text_is_read_on_its_background(theme: str, behind: str) -> None:
    known = colours(theme)
    told = {name: round(contrast(known[name], known[behind]), 2) for name in WRITTEN}
    assert min(told.values()) >= 4.5, told


@pytest.mark.parametrize("theme", THEMES)
def test_a_warning_is_read_too(theme: str) -> None:
    known = colours(theme)
    assert contrast(known["ink"], known["warn"]) >= 4.5
