"""Bad YAML and bad values: one message that names file, place, value and what is allowed."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, PositiveInt, field_validator

from nas.configuration import Config, Named, validate, validate_options
from nas.errors import InputError, at, in_file
from nas.yaml_files import parse_yaml, read_yaml

# --- YAML ---


def written(folder: Path, text: str) -> Path:
    path = folder / "campaign.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("1E5", 1e5),
        ("-1.5e+3", -1500.0),
        ("2.e3", 2000.0),
        (".5e3", 500.0),
        ("3", 3),
        ("3.0", 3.0),
        ("1e", "1e"),
        ("e5", "e5"),
        ("1e5x", "1e5x"),
        ("'1e-3'", "1e-3"),
        ("1998-11-01", "1998-11-01"),
        ("016", 16),
        ("0o16", 14),
        ("0x1F", 31),
        ("-007", -7),
        ("1_000", 1000),
        ("1_000.5", 1000.5),
        ("1__000", "1__000"),
        ("_1", "_1"),
        ("1:30", "1:30"),
        ("0b11", "0b11"),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("Off", "Off"),
        ("TRUE", True),
        ("False", False),
        ("~", None),
        ("", None),
        (".5", 0.5),
        ("-.inf", float("-inf")),
        ("1.", 1.0),
        ("true", True),
        ("null", None),
        ("[1, 2.5, a]", [1, 2.5, "a"]),
        ("{b: 1, 'c d': 2}", {"b": 1, "c d": 2}),
    ],
)
def test_values(tmp_path: Path, text: str, value: object) -> None:
    found = read_yaml(written(tmp_path, f"a: {text}"))["a"]
    assert found == value
    assert type(found) is type(value)


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp"))),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc_", min_size=1), inner),
    max_leaves=12,
)


@given(PLAIN)
def test_json_is_yaml(value: Any) -> None:
    assert parse_yaml(json.dumps(value, ensure_ascii=False), "x.yaml") == value


@given(st.text("0123456789_+-.eExo:abfTn~ ", max_size=8))
def test_a_scalar_is_what_yaml_1_2_says(text: str) -> None:
    """Against the regular expressions of the specification, section 10.3.2, by hand."""
    text = text.strip()
    try:
        found = parse_yaml(f"a: {text}", "x.yaml")["a"]
    except (InputError, TypeError):
        return  # another construct: a mapping within, or an indicator
    plain = re.sub(r"(?<=[0-9])_(?=[0-9])", "", text)
    if text in ("", "~"):
        assert found is None
    elif re.fullmatch("[-+]?[0-9]+", plain):
        assert found == int(plain, 10)
    elif re.fullmatch("0o[0-7]+", text):
        assert found == int(text[2:], 8)
    elif re.fullmatch("0x[0-9a-fA-F]+", text):
        assert found == int(text[2:], 16)
    elif re.fullmatch(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", plain):
        assert found == float(plain)
    else:
        assert found == text


def test_same_key_in_other_mappings_is_fine(tmp_path: Path) -> None:
    text = "a: {x: 1}\nb:\n- {x: 1}\n- {x: 1}\n"
    assert read_yaml(written(tmp_path, text)) == {"a": {"x": 1}, "b": [{"x": 1}, {"x": 1}]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3", ":3:1: not valid YAML: key 'a' is given twice"),
        ("a:\n  b: {c: 1, c: 2}", ":2:13: not valid YAML: key 'c' is given twice"),
        ("- x: 1\n  x: 2", ":2:3: not valid YAML: key 'x' is given twice"),
        ("1: a\n1: b", ":2:1: not valid YAML: key 1 is given twice"),
        ("? [a, b]\n: 1", ":1:3: not valid YAML: a key must be a single value"),
        ("x: &x {a: 1}\ny:\n  <<: *x", ":3:3: not valid YAML: merging with '<<' is not supported"),
        ("a: [1, 2", ":1:9: not valid YAML: expected ',' or ']'"),
        ("a: 1\n\tb: 2", ":2:1: not valid YAML: "),
        ("a: *nothing", ":1:4: not valid YAML: found undefined alias"),
        ("a: !!python/name:os.system", ":1:4: not valid YAML: could not determine a constructor"),
        ("a: 1\n---\nb: 2", ":2:1: not valid YAML: but found another document"),
        ("a: \x07", ": not valid YAML: unacceptable character"),
    ],
)
def test_bad_yaml(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(InputError) as caught:
        read_yaml(path)
    assert str(caught.value).startswith(f"{path}{said}")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no\.yaml: cannot be read: No such file"):
        read_yaml(tmp_path / "no.yaml")
    with pytest.raises(InputError, match="cannot be read: it is not a regular file"):
        read_yaml(tmp_path)
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("é: 1".encode("latin-1"))
    with pytest.raises(InputError, match=r"latin\.yaml: is not UTF-8 text"):
        read_yaml(latin)


# --- models ---


class Budget(Config):
    trials: PositiveInt
    hours: float = 1.0

    @field_validator("hours")
    @classmethod
    def _not_negative(cls, hours: float) -> float:
        if hours < 0:
            raise ValueError(f"must not be negative, got {hours}")
        return hours


class Campaign(Config):
    name: str
    budget: Budget
    kind: Literal["min", "max"] = "min"
    sizes: Annotated[tuple[int, ...], Field(min_length=1)] = (1,)
    blocks: Mapping[str, Budget] = Field(default={})
    stages: tuple[Budget, ...] = ()
    limit: int | None = None

    @field_validator("name")
    @classmethod
    def _no_space(cls, name: str) -> str:
        if " " in name:
            raise ValueError("a name has no space")
        return name


GOOD: dict[str, Any] = {"name": "a", "budget": {"trials": 3, "hours": 2}, "sizes": [1, 2]}


def test_good_values_are_typed_and_frozen() -> None:
    campaign = validate(Campaign, GOOD)
    assert campaign == Campaign(name="a", budget=Budget(trials=3, hours=2.0), sizes=(1, 2))
    assert isinstance(campaign.budget.hours, float)
    with pytest.raises(ValueError, match="frozen"):
        campaign.name = "b"


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        ({"nam": "a"}, ["nam: unknown key 'nam' (did you mean 'name'?); allowed: name"]),
        ({"budget": {"trials": 3, "day": 1}}, ["budget.day: unknown key 'day'; allowed: trials"]),
        ({"blocks": {"x": {"trial": 3, "trials": 1}}}, ["blocks.x.trial: unknown key 'trial'"]),
        ({"stages": [{"trials": 1}, {"trials": 1, "x": 1}]}, ["stages.1.x: unknown key 'x'; all"]),
        ({"budget": {"trials": "3"}}, ["budget.trials: Input should be a valid integer, got '3'"]),
        ({"budget": {"trials": True}}, ["budget.trials: Input should be a valid integer, got T"]),
        ({"budget": {"trials": 3.0}}, ["budget.trials: Input should be a valid integer, got 3.0"]),
        ({"budget": {"trials": 0}}, ["budget.trials: Input should be greater than 0, got 0"]),
        ({"budget": {}}, ["budget.trials: Field required"]),
        ({"budget": 3}, ["budget: must be a mapping of keys to values, got 3; allowed keys: tr"]),
        ({"budget": [1]}, ["budget: must be a mapping", "got [1]; allowed keys: trials, hours"]),
        ({"stages": [3]}, ["stages.0: must be a mapping", "got 3; allowed keys: trials, hours"]),
        ({"blocks": [1]}, ["blocks: ", "got [1]"]),
        ({"kind": {"a": [1, None]}}, ["kind: Input should be 'min'", 'got {"a": [1, null]}']),
        ({"kind": list(range(99))}, ["kind: ", "got [0, 1, 2, ", "..."]),
        ({"name": "got a b"}, ["name: a name has no space, got 'got a b'"]),
        ({"budget": {"trials": 1, "hours": -1}}, ["budget.hours: must not be negative, got -1.0"]),
        ({"sizes": ["2"]}, ["sizes.0: Input should be a valid integer, got '2'"]),
        ({"budget": {"trials": 1, "hours": 1e999}}, ["budget.hours: Input should be a finite"]),
        ({"kind": "mean"}, ["kind: Input should be 'min' or 'max', got 'mean'"]),
        ({"name": 1998}, ["name: Input should be a valid string, got 1998"]),
        ({"name": "a b"}, ["name: a name has no space, got 'a b'"]),
        ({"sizes": []}, ["sizes: ", "at least 1 item"]),
        ({"sizes": [1, "2"]}, ["sizes.1: Input should be a valid integer, got '2'"]),
        ({"sizes": None}, ["sizes: Input should be a valid", "got None"]),
        ({"limit": "x"}, ["limit: Input should be a valid integer", "got 'x'"]),
    ],
)  # fmt: skip
def test_bad_value(change: dict[str, Any], lines: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        validate(Campaign, {**GOOD, **change})
    (message,) = str(caught.value).splitlines()
    assert message.count(", got ") <= 1
    assert message.startswith(lines[0])
    for said in lines[1:]:
        assert said in message


def test_all_that_is_wrong_is_said_a_line_each() -> None:
    data = {"name": 3, "budget": {"trials": 0, "x": 1}}
    with pytest.raises(InputError) as caught, in_file(Path("f.yaml")), at("searches", 0):
        validate(Campaign, data)
    assert str(caught.value).splitlines() == [
        "f.yaml: searches.0.name: Input should be a valid string, got 3",
        "f.yaml: searches.0.budget.trials: Input should be greater than 0, got 0",
        "f.yaml: searches.0.budget.x: unknown key 'x'; allowed: trials, hours",
    ]


@pytest.mark.parametrize("data", [None, [], "text", 3])
def test_not_a_mapping(data: object) -> None:
    got = "[]" if data == [] else repr(data)
    said = f"must be a mapping of keys to values, got {got}; allowed keys: trials, hours"
    with pytest.raises(InputError) as caught, in_file("f.yaml"):
        validate(Budget, data)
    assert str(caught.value) == f"f.yaml: {said}"
    with pytest.raises(InputError) as caught, at("budget"):
        validate(Budget, data)
    assert str(caught.value) == f"budget: {said}"


def test_values_that_are_not_plain() -> None:
    circular: list[object] = []
    circular.append(circular)
    for value in ({1, 2}, object(), circular):
        with pytest.raises(InputError, match=r"^holds a value that is not"):
            validate(Budget, {"trials": value})


# --- options of a callable ---


class Search:
    def __init__(
        self,
        space: object,
        *,
        population: int = 10,
        rates: Sequence[float] = (0.5,),
        pair: tuple[int, int] = (1, 1),
        mode: Literal["a", "b"],
        limit: int | None = None,
    ) -> None: ...


def function(x: int, *, kernel: int = 3) -> None: ...


def test_options_come_from_the_signature() -> None:
    options = {"mode": "a", "pair": [3, 4], "limit": None}
    found = validate_options(Search, options)
    assert found == {"mode": "a", "pair": (3, 4), "limit": None}, "defaults are the callable's"
    assert validate_options(function, {}) == {}
    assert validate_options(function, {"kernel": 5}) == {"kernel": 5}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "mode: Field required"),
        ({"mode": "c"}, "mode: Input should be 'a' or 'b', got 'c'"),
        ({"mode": "a", "population": "3"}, "population: Input should be a valid integer, got '3'"),
        ({"mode": "a", "pair": [1]}, "pair"),
        ({"mode": "a", "space": 1}, "space: unknown key 'space'"),
        (
            {"mode": "a", "popluation": 3},
            "popluation: unknown key 'popluation' (did you mean 'population'?); "
            "allowed: population, rates, pair, mode, limit",
        ),
    ],
)
def test_bad_options(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        validate_options(Search, options)
    assert str(caught.value).startswith(said)


def test_a_function_without_options() -> None:
    with pytest.raises(InputError, match=r"^x: unknown key 'x'; allowed: none"):
        validate_options(lambda y: y, {"x": 1})


# --- where a mistake is ---


def test_an_error_carries_its_keys_and_its_file_once() -> None:
    outer, inner = in_file("outer.yaml"), in_file("inner.yaml")
    with pytest.raises(InputError) as caught, outer, in_file("outer.yaml"), at("final", 0):
        raise InputError("is wrong")
    assert str(caught.value) == "outer.yaml: final.0: is wrong"
    outer = in_file("outer.yaml")
    with pytest.raises(InputError) as caught, outer, at("table"), inner, at("key"):
        raise InputError.of([(("a",), "is wrong"), ((), "is wrong, too")])
    assert str(caught.value).splitlines() == [
        "outer.yaml: table: inner.yaml: key.a: is wrong",
        "outer.yaml: table: inner.yaml: key: is wrong, too",
    ]


def test_paths_of_users_files_start_at_the_file_that_names_them(tmp_path: Path) -> None:
    found = validate(Named, {"name": "mine.py:part", "other": "x.py:y"}, tmp_path)
    assert found.name == f"{tmp_path}/mine.py:part"
    assert validate(Named, {"name": "package.module:part"}, tmp_path).name == "package.module:part"
    assert validate(Named, {"name": "evolution"}, tmp_path).name == "evolution"


class Called:
    def __call__(self, request: object, *, a: int = 1) -> None: ...


def test_options_of_an_object_that_can_be_called() -> None:
    assert validate_options(Called(), {"a": 3}) == {"a": 3}
    with pytest.raises(InputError, match="a: Input should be a valid integer, got 'x'"):
        validate_options(Called(), {"a": "x"})
