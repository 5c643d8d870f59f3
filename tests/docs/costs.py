"""Writes the table of typical MACs into docs/spaces.md: ``python -m tests.docs.costs``."""

from pathlib import Path
from statistics import quantiles

import numpy as np

import nas
from nas.architecture.operations import ArchitectureError
from nas.errors import InputError
from nas.spaces import spaces

PAGE = Path(__file__).parents[2] / "docs" / "spaces.md"
SIZES = (32, 64, 224)
DRAWS = 25
HEAD = "| space | MACs at 32x32 | at 64x64 | at 224x224 |\n|---|---|---|---|\n"


def row(name: str, sizes: tuple[int, ...] = SIZES) -> list[str]:
    """The median and the 10 % and 90 % quantiles of random members at each size, 10 classes."""
    cells = []
    for size in sizes:
        try:
            space = nas.space(name, input_shape=(3, size, size), classes=10)
            rng = np.random.default_rng(0)
            macs = [space.decode(space.sample(rng)).cost.macs for _ in range(DRAWS)]
        except (ArchitectureError, InputError):
            cells.append("too small an image")
            continue
        low, *_, high = quantiles(macs, n=10)
        median = quantiles(macs, n=2)[0]
        cells.append(f"{shown(median)} ({shown(low)} to {shown(high)})")
    return cells


def shown(macs: float) -> str:
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if macs >= unit:
            return f"{macs / unit:.3g}{letter}"
    return f"{macs:.0f}"


def main() -> None:
    text = PAGE.read_text(encoding="utf-8")
    before, _, after = text.partition(HEAD)
    rows = "".join(f"| `{name}` | {' | '.join(row(name))} |\n" for name in spaces())
    rest = "\n" + after.partition("\n\n")[2]
    PAGE.write_text(f"{before}{HEAD}{rows}{rest}", encoding="utf-8")


if __name__ == "__main__":
    main()
