"""Metrics that ``campaign.yaml`` names are imported only if the records were made with them."""

from pathlib import Path

import pytest

from nas.campaigns.spec.recorded_code import check_code
from nas.errors import InputError
from nas.user_code import checksums

RECALL = "import nas\n"


def recorded_checksums(folder: Path, file: str = "recall.py") -> dict[str, str]:
    """The checksum of a metric's file, as the records hold it."""
    return checksums([f"{folder / file}:balanced"], folder)


@pytest.mark.parametrize(
    ("named", "refused"),
    [
        ("recall.py:balanced", None),
        ("parts/recall.py:balanced", None),
        ("other.py:balanced", "is not the file that the records were made with"),
        ("other.py:strange", "is code that the records were not made with"),
        ("package.module:balanced", None),
        ("os:system", "is code that the records were not made with"),
    ],
)
def test_metrics(tmp_path: Path, named: str, refused: str | None) -> None:
    (tmp_path / "parts").mkdir()
    for place in (tmp_path, tmp_path / "parts"):
        (place / "recall.py").write_text(RECALL)
    (tmp_path / "other.py").write_text(f"{RECALL}raise AssertionError('it was run')\n")
    file = tmp_path / "campaign.yaml"
    file.write_text(f"metrics: ['{named}']\n")
    recorded = {
        "metrics": {"own": [{"name": "balanced"}]},
        "code": recorded_checksums(
            tmp_path, "parts/recall.py" if "parts" in named else "recall.py"
        ),
    }
    if refused is None:
        check_code(file, recorded)
    else:
        with pytest.raises(InputError, match=f"{named}|other.py") as caught:
            check_code(file, recorded)
        assert refused in str(caught.value)


def test_a_changed_file_of_a_metric_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "recall.py").write_text(RECALL)
    file = tmp_path / "campaign.yaml"
    file.write_text("metrics: [recall.py:balanced]\n")
    recorded = {"code": recorded_checksums(tmp_path)}
    (tmp_path / "recall.py").write_text(f"{RECALL}raise AssertionError('it was run')\n")
    with pytest.raises(InputError, match=r"recall\.py: is not the file"):
        check_code(file, recorded)
