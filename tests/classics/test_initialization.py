"""Each classic's scheme draws what its reference implementation draws when it is constructed."""

from typing import get_args

import pytest
from torch import Tensor

from nas.architecture.network import compile
from nas.classics import CLASSICS, classic
from nas.training.initialization import RULES, initialize
from nas.training.recipe import Scheme
from tests.classics.references import torchvision_models
from tests.classics.test_classics import REFERENCES, SLOW, each

CONSTRUCTED = REFERENCES | {
    # Their other default, which torchvision announces, is torch's draw.
    "googlenet": lambda: torchvision_models().googlenet(aux_logits=True, init_weights=True),
    "inception_v3": lambda: torchvision_models().inception_v3(init_weights=True),
}

NAMES = [name for name, entry in CLASSICS.items() if entry.source != "paper"]
LARGE = SLOW | {name for name in NAMES if name.startswith("vgg")} - {"vgg11"}


def test_every_scheme_that_is_named_exists() -> None:
    assert set(RULES) == set(get_args(Scheme))
    assert {entry.initialization for entry in CLASSICS.values()} <= set(RULES)


def is_uniform(values: Tensor) -> bool:
    """Uniform draws end at 1.73 standard deviations; 1000 normal ones go beyond 2.2."""
    return (values.abs().max() / values.std()).item() < 2.2


@pytest.mark.parametrize("name", each(NAMES, LARGE))
def test_weights_are_drawn_as_the_reference_draws_them(name: str) -> None:
    """Constants are equal; standard deviations agree, and so does the kind of distribution."""
    reference = dict(CONSTRUCTED[name]().named_parameters())
    network = compile(classic(name))
    initialize(network, CLASSICS[name].initialization)
    ours = dict(network.named_parameters())
    assert ours.keys() == reference.keys()
    for parameter, tensor in ours.items():
        mine, theirs = tensor.detach(), reference[parameter].detach()
        if (theirs == theirs.view(-1)[0]).all():
            assert mine.equal(theirs), parameter
            continue
        assert mine.numel() == 1 or not (mine == mine.view(-1)[0]).all(), parameter
        if mine.numel() >= 1000:
            assert mine.std().item() == pytest.approx(theirs.std().item(), rel=0.1), parameter
            assert is_uniform(mine) == is_uniform(theirs), parameter
