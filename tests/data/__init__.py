"""Small tables of published facts that tests compare with; README.md names each source."""

from pathlib import Path

DATA = Path(__file__).parent
