"""Classics of the final stage, as wide as a limit allows."""

from pathlib import Path
from typing import Any

import pytest

import nas
from nas.campaigns.spec.campaign import load_campaign
from nas.campaigns.spec.contestants import FITTED, Contestant, contestants, family
from nas.campaigns.spec.frame import Frame
from nas.configuration import Named
from nas.errors import InputError
from tests.campaigns import toy

SHAPE = (1, 16, 16)
FRAME = Frame(SHAPE, 10)


def found(*entries: Any, **limits: int) -> dict[str, Contestant]:
    named = [Named.model_validate(entry) for entry in entries]
    return contestants(named, FRAME, limits)[0]


def cost(name: str, width: float, **options: Any) -> Any:
    return nas.cost(nas.classic(name, SHAPE, 10, width=width, **options))


@pytest.mark.parametrize("column", ["params", "macs", "flops", "activations"])
@pytest.mark.parametrize(
    ("name", "options"), [("se_resnet20", {}), ("lenet5", {}), ("nin", {"last_relu": False})]
)
def test_the_width_is_the_largest_under_the_limit(
    name: str, options: dict[str, Any], column: str
) -> None:
    for width in (0.31, 0.9, 1.7):
        limit = getattr(cost(name, width, **options), column)
        ((label, fitted),) = found({"name": name, "fit": {column: limit}, **options}).items()
        taken = fitted.options["width"]
        assert taken >= width  # a wider one may cost the same
        assert getattr(fitted.architecture.cost, column) == limit
        assert getattr(cost(name, round(taken + 0.01, 2), **options), column) > limit
        assert label.endswith(f"-width{taken}")
        assert fitted.options == {**options, "width": taken}


def test_the_smallest_of_several_limits_decides() -> None:
    both = found({"name": "resnet20", "fit": {"macs": 2e6, "params": 9000}})
    (label,) = found({"name": "resnet20", "fit": {"params": 9000}})
    assert list(both) == [label]


def test_a_limit_that_everything_meets_takes_the_widest() -> None:
    assert list(found({"name": "lenet5", "fit": {"macs": 1e12}})) == ["lenet5-width10.0"]


def test_fitted_takes_the_default_set_under_the_constraints() -> None:
    made = found("fitted", macs=1_500_000)
    assert [each.name for each in made.values()] == list(FITTED)
    for each in made.values():
        assert each.architecture.cost.macs <= 1_500_000
        assert FITTED[each.name].items() <= each.options.items()
    assert found("fitted", macs=1_500_000, params=10**9).keys() == made.keys()
    other = found({"name": "fitted", "fit": {"macs": 1_500_000}})
    assert other.keys() == made.keys()


def test_what_of_the_default_set_meets_no_limit_is_left_out() -> None:
    named = [Named(name="fitted")]
    made, (note,) = contestants(named, FRAME, {"macs": 170_000})
    assert note.startswith(
        "final.classics: fitted leaves out mobilenet_v2: no width is small enough: the smallest, "
        "mobilenet_v2 at width 0.01, has macs "
    )
    assert note.endswith(" (the limit is 170,000)")
    assert {each.name for each in made.values()} == FITTED.keys() - {"mobilenet_v2"}


def test_classics_that_the_images_are_too_small_for_are_left_out_of_the_set() -> None:
    made, notes = contestants([Named(name="fitted")], Frame((1, 8, 8), 10), {"macs": 500_000})
    assert "lenet5" not in {each.name for each in made.values()}
    assert any("fitted leaves out lenet5: " in note for note in notes)


def test_families_differ_in_their_depth_alone() -> None:
    assert family("resnet20") == ["resnet20", "resnet32", "resnet44", "resnet56", "resnet110"]
    assert family("resnet34") == ["resnet18", "resnet34"]
    assert family("resnet50") == ["resnet50", "resnet101", "resnet152"]
    assert family("vgg16_bn") == ["vgg11_bn", "vgg13_bn", "vgg16_c_bn", "vgg16_bn", "vgg19_bn"]
    assert family("densenet121") == ["densenet121", "densenet169", "densenet201"]
    assert family("lenet5") == ["lenet5"]


@pytest.mark.parametrize("named", ["resnet20", "resnet110"])
@pytest.mark.parametrize(
    ("published", "more", "taken", "width"),
    [
        ("resnet32", 1.0, "resnet32", 1.0),
        ("resnet56", 1.01, "resnet56", 1.0),
        ("resnet20", 0.5, "resnet20", 0.7),  # none has room for its width, so the shallowest
        ("resnet110", 4.1, "resnet110", 2.0),
    ],
)
def test_the_deepest_is_taken_that_keeps_its_width(
    named: str, published: str, more: float, taken: str, width: float
) -> None:
    """A network of MACs that grow with the square of the width, nearly."""
    limit = int(nas.cost(nas.classic(published, SHAPE, 10)).macs * more)
    named_entry = [Named.model_validate({"name": named, "fit": {"macs": limit}})]
    made, notes = contestants(named_entry, FRAME, {})
    ((label, found_one),) = made.items()
    assert found_one.name == taken
    assert found_one.options["width"] == pytest.approx(width, abs=0.04)
    assert found_one.architecture.cost.macs <= limit
    assert notes == [f"final.classics: {named} is fitted as {label}"] * (named != taken)


def test_a_limit_on_depth_takes_a_shallower_network() -> None:
    limits = {"macs": nas.cost(nas.classic("resnet56", SHAPE, 10)).macs, "depth": 32}
    (made,) = found({"name": "resnet20", "fit": "constraints"}, **limits).values()
    assert made.name == "resnet32"
    with pytest.raises(InputError, match=r"depth 20 \(the limit is 19\)"):
        found({"name": "resnet20", "fit": "constraints"}, macs=10**9, depth=19)


def test_a_network_that_two_fits_find_is_listed_once() -> None:
    made = found("fitted", {"name": "lenet5", "fit": {"macs": 170_000}}, macs=170_000)
    assert [each.name for each in made.values()].count("lenet5") == 1


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{name: resnet20, fit: {macs: 10}}",
         "fit: no width is small enough: the smallest, resnet20 at width 0.01, has macs "),
        ("{name: resnet20, fit: {mac: 10}}", "fit.mac: unknown key 'mac' (did you mean 'macs'?)"),
        ("{name: resnet20, fit: {}}", "fit: must be constraints, or one or more of params, macs"),
        ("{name: resnet20, fit: 10}", "fit: must be constraints, or limits of params, macs"),
        ("{name: resnet20, fit: {macs: 2e6}, width: 1.0}",
         "fit: resnet20: fit chooses its option width, so leave width out"),
        ("{name: resnet20, fit: constraints}",
         "fit: constraints: needs a limit on params, macs, flops, activations, but the campaign"),
        ("{name: fitted, width: 1.0}", "width: unknown key 'width'; allowed: fit"),
        ("{name: fitted, fit: {macs: 10}}",
         "fitted: no width of any of them is small enough: the smallest, vgg8 at width 0.01, has "
         "macs 1,238 (the limit is 10)"),
    ],
)  # fmt: skip
def test_a_wrong_fit_is_named(folder: Path, entry: str, message: str) -> None:
    toy.write(folder, toy.CAMPAIGN.replace("[resnet20]", f"[{entry}]"))
    with pytest.raises(InputError) as caught:
        load_campaign(folder)
    keys, _, _ = message.partition(": ")
    separator = "." if keys.startswith(("fit", "width")) and keys != "fitted" else ": "
    where = f"{folder}/campaign.yaml: final.classics.0{separator}"
    assert str(caught.value).startswith(where + message)


def test_a_campaign_may_name_the_set_by_its_word(folder: Path) -> None:
    text = toy.CAMPAIGN.replace("[resnet20]", "fitted")
    toy.write(folder, text + "constraints: {macs: 60_000}\n")
    campaign = load_campaign(folder)
    names = [each.name for each in campaign.classics]
    assert names
    assert names == [name for name in FITTED if name in names]
    assert all(each.architecture.cost.macs <= 60_000 for each in campaign.classics)
    assert any("fitted leaves out" in note for note in campaign.notes)
