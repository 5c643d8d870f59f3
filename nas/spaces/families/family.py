"""What every family of YAML spaces has: the common keys, and how a file becomes a family."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field

from nas.architecture.graph import Architecture
from nas.architecture.operations import Shape
from nas.configuration import Config, validate
from nas.errors import InputError
from nas.registry import Registry
from nas.spaces.choices import Choose, Genotype
from nas.spaces.constraints import Constraints
from nas.spaces.language import Language

T = TypeVar("T")

FAMILIES = Registry(
    "family",
    {
        "free_graph": "nas.spaces.families.free_graph:FreeGraph",
        "edge_cell": "nas.spaces.families.edge_cell:EdgeCell",
        "matrix_cell": "nas.spaces.families.matrix_cell:MatrixCell",
        "pairwise_cell": "nas.spaces.families.pairwise_cell:PairwiseCell",
        "staged": "nas.spaces.families.staged:Staged",
        "regnet": "nas.spaces.families.regnet:RegNet",
        "natsbench_size": "nas.spaces.families.natsbench_size:NATSBenchSize",
        "hierarchical": "nas.spaces.families.hierarchical:Hierarchical",
    },
)
"""What ``family:`` in a space file may say."""


def distinct(options: tuple[T, ...]) -> tuple[T, ...]:
    """Of a key that lists options: none is given twice."""
    if len(set(options)) < len(options):
        raise ValueError("an option is given twice")
    return options


class Family(Config, Language):
    """A space file. A family is a subclass with its own keys, and :meth:`architecture`."""

    family: str
    paper: str
    """Where the space is from, with a link."""
    description: str = ""
    members: dict[str, Genotype] = Field(default_factory=dict)
    """Known genotypes by name."""
    constraints: Constraints = Constraints()
    """The largest costs; a campaign may add its own."""

    def check(self, source: Path) -> None:
        """Raise :class:`InputError` for what types alone cannot tell."""

    @abstractmethod
    def architecture(
        self, choose: Choose, input_shape: Shape, classes: int
    ) -> Callable[[], Architecture]:
        """The space itself: ask ``choose`` wherever it may vary, return what then builds."""


def read_family(data: Any, source: Path, overrides: Mapping[str, Any] | None = None) -> Family:
    """The family that a space file describes; :class:`InputError` names the file and the key.

    ``overrides`` stand in for keys of the file; one that the family does not have is refused like
    a key of the file.
    """
    name = data.get("family") if isinstance(data, dict) else None
    try:
        model = FAMILIES[str(name)]
    except InputError as error:
        raise InputError(f"{source}: family: {error}") from None
    assert isinstance(model, type)
    assert issubclass(model, Family)
    family = validate(model, {**data, **(overrides or {})}, source)
    family.check(source)
    return family
