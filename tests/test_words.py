import pytest

from nas.words import counted


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((1, "epoch"), "1 epoch"),
        ((0, "epoch"), "0 epochs"),
        ((2126, "epoch"), "2,126 epochs"),
        ((1, "class", "classes"), "1 class"),
        ((2, "class", "classes"), "2 classes"),
    ],
)
def test_one_is_singular(arguments: tuple[int, str], text: str) -> None:
    assert counted(*arguments) == text
