"""The notebook of docs/ runs, and what it shows is what its cells return."""

import json
from typing import Any

from tests.docs.site import NOTEBOOK


def test_its_cells_run(capsys: Any) -> None:
    known: dict[str, Any] = {}
    for cell in json.loads(NOTEBOOK.read_text("utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"]
            assert not [each for each in cell["outputs"] if each["output_type"] == "error"]
            exec("".join(cell["source"]), known)
    completed = known["final"].groupby("label")["test_accuracy"].count()
    assert [*completed] == [3, 3]
    assert "in test accuracy, 95 % interval" in capsys.readouterr().out
