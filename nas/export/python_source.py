"""Writes an architecture as one readable Python file that needs only torch."""

from __future__ import annotations

import inspect
import re
from ast import literal_eval
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from typing import Any, NamedTuple

from torch import nn

from nas.architecture.graph import Architecture
from nas.export.constructors import Call, Slot, constructor, is_torchs
from nas.export.layout import WIDTH, laid_out
from nas.export.scopes import Path, Scope, has_state, is_list, scoped
from nas.export.statements import Forward, forward

_CHANNELS = frozenset({
    "in_channels", "out_channels", "num_features", "in_features", "out_features", "num_channels",
    "normalized_shape", "groups",
})  # fmt: skip
"""Arguments that count channels; one parameter may be used for several of them."""

_LAYERS = 4
"""A sequence of up to this many layers is a class named after them."""

_Tree = dict[str, Any]  # maps a name to a Call or to another tree


def python_source(
    architecture: Architecture, name: str, doc: str, last: tuple[str, str] | None = None
) -> str:
    """Writes a Python module whose class computes the same as the compiled architecture.

    The state dict has the network's names, so its weights load strictly. The scopes of the names
    become submodules. Scopes that do the same become one class, whose arguments are the values in
    which they differ. The text is formatted as black and ruff do by default.

    Args:
        architecture: the architecture; its auxiliary heads are computed in training only.
        name: the name of the class.
        doc: the docstring of the module.
        last: the name and the text of a class to write after that of the network.
    """
    taken, texts = ((), ()) if last is None else (last[:1], last[1:])
    writer = _Writer(name, taken)
    writer.write(scoped(architecture))
    body = "\n\n\n".join([*writer.custom.values(), *writer.classes, *texts])
    imports = [
        *(["import torch"] if "torch." in body else []),
        f"from torch import {'Tensor, ' * ('Tensor' in body)}nn",
        *(["from torch.nn import functional"] if "functional." in body else []),
    ]
    return f'"""{doc}"""\n\n' + "\n".join(imports) + f"\n\n\n{body}\n"


def class_name(text: str) -> str:
    """Makes a class name from any text: ``mobilenet_v3`` gives ``MobilenetV3``."""
    words = re.findall(r"[A-Za-z0-9]+", text)
    name = "".join(word[0].upper() + word[1:] for word in words)
    return name if name[:1].isalpha() else f"Network{name}"


class _Instance(NamedTuple):
    """A scope that needs a class: what its constructor assigns and what its forward does."""

    scope: Scope
    assigned: dict[tuple[str, str], Call]  # by owner ("self") and name
    forward: Forward

    @property
    def form(self) -> tuple[Any, ...]:
        """Returns the content of the class without its arguments."""
        calls = tuple((target, call.form) for target, call in self.assigned.items())
        return calls, tuple(self.forward.arguments), tuple(self.forward.lines)

    def slots(self) -> list[tuple[str, Slot]]:
        """Lists its literals, each with the name of its module."""
        return [
            (name if owner == "self" else owner.split(".")[1].split("[")[0], slot)
            for (owner, name), call in self.assigned.items()
            for slot in call.slots()
        ]


class _Writer:
    def __init__(self, name: str, taken: Iterable[str]) -> None:
        self._name = name
        self._taken = {name, "Tensor", *taken}
        self._calls: dict[Path, Call] = {}
        self.custom: dict[str, str] = {}
        self.classes: list[str] = []

    def write(self, root: Scope) -> None:
        """Fills ``classes``, from the innermost scopes to the root."""
        levels: dict[int, list[Scope]] = {}
        _height(root, levels)
        for _, scopes in sorted(levels.items()):
            alike: dict[Any, list[_Instance]] = {}
            for scope in scopes:
                children = {path: self._call(scope, path) for path in scope.children}
                if scope.path and scope.is_sequence:
                    alone = len(children) == 1 and not has_state(scope)
                    sequence = Call("nn.Sequential", tuple(children.values()))
                    self._calls[scope.path] = children.popitem()[1] if alone else sequence
                else:
                    instance = _instance(scope, children)
                    alike.setdefault(instance.form, []).append(instance)
            for instances in alike.values():
                self._class(instances)

    def _call(self, scope: Scope, path: Path) -> Call:
        child = scope.children[path]
        if isinstance(child, Scope):
            return self._calls[child.path]
        call = constructor(child)
        if isinstance(child, nn.Module) and not is_torchs(type(child)):
            self._taken.add(call.head)
            lines = inspect.getsource(type(child)).rstrip().split("\n")
            self.custom[call.head] = "\n".join(part for line in lines for part in laid_out(line))
        return call

    def _class(self, instances: Sequence[_Instance]) -> None:
        """Writes the class of instances that differ only in arguments; stores each one's call."""
        first = instances[0]
        name = self._free_name(first) if first.scope.path else self._name
        slots = first.slots()
        columns = zip(
            *([slot.value for _, slot in each.slots()] for each in instances), strict=True
        )
        keys = [
            ("channels" if slot.name in _CHANNELS else slot.name, values)
            for (_, slot), values in zip(slots, columns, strict=True)
        ]
        varying: dict[tuple[str, tuple[str, ...]], tuple[str, Slot]] = {}
        for key, slot in zip(keys, slots, strict=True):
            if len(set(key[1])) > 1:
                varying.setdefault(key, slot)
        names = dict(zip(varying, _named(list(varying.values())), strict=True))
        texts = iter([names.get(key, key[1][0]) for key in keys])
        parameters = [f"{name}: {_type(values)}" for (_, values), name in names.items()]
        lines = _class_lines(name, _doc(instances), first, parameters, texts)
        self.classes.append("\n".join(lines))
        for number, instance in enumerate(instances):
            given = (Slot(slot.name, key[1][number]) for key, (_, slot) in varying.items())
            self._calls[instance.scope.path] = Call(name, tuple(given))

    def _free_name(self, instance: _Instance) -> str:
        scope = instance.scope
        heads = [head for call in instance.assigned.values() for head in call.heads()]
        if scope.chain and len(heads) <= _LAYERS and all(h.startswith("nn.") for h in heads):
            wanted = "".join(re.sub(r"nn\.|\dd$", "", head) for head in heads)
        else:
            words = [part for part in scope.path if not part.isdecimal()] or ["part"]
            word = words[-1].rstrip("0123456789_")
            item = scope.path[-1].isdecimal() and word.endswith("s") and not word.endswith("ss")
            wanted = class_name(re.sub(r"_\d+(?=_)", "", word[:-1] if item else word))
        names = (f"{wanted}{n}" if n > 1 else wanted for n in count(1))
        name = next(name for name in names if name not in self._taken)
        self._taken.add(name)
        return name


def _class_lines(
    name: str, doc: str, instance: _Instance, parameters: list[str], texts: Iterator[str]
) -> list[str]:
    """Writes a class; ``texts`` replace the literals of its constructor."""
    body = [
        f"def __init__({', '.join(['self', *parameters])}) -> None:",
        "    super().__init__()",
    ]
    for (owner, attribute), call in instance.assigned.items():
        made = call.source(texts)
        plain = f"    {owner}.{attribute} = {made}"
        body.append(
            plain if attribute.isidentifier() else f'    setattr({owner}, "{attribute}", {made})'
        )
    arguments = ", ".join(f"{argument}: Tensor" for argument in instance.forward.arguments)
    heads = "if self.training:" in instance.forward.lines
    returned = "Tensor | tuple[Tensor, ...]" if heads else "Tensor"
    body += ["", f"def forward(self, {arguments}) -> {returned}:"]
    body += [f"    {line}" for line in instance.forward.lines]
    laid = (part for line in body for part in laid_out(f"    {line}" if line else ""))
    return [f"class {name}(nn.Module):", f'    """{doc}"""', "", *laid]


def _height(scope: Scope, levels: dict[int, list[Scope]]) -> int:
    """Stores each scope under its height, the number of nested levels; returns this scope's."""
    inner = (
        _height(child, levels) for child in scope.children.values() if isinstance(child, Scope)
    )
    height = 1 + max(inner, default=0)
    levels.setdefault(height, []).append(scope)
    return height


def _instance(scope: Scope, children: dict[Path, Call]) -> _Instance:
    tree: _Tree = {}
    for path, call in children.items():
        branch = tree
        for part in path[:-1]:
            branch = branch.setdefault(part, {})
        branch[path[-1]] = call

    def access(target: str) -> str:
        text, branch = "self", tree
        for part in target.split("."):
            text = _member(text, part, branch is not tree and is_list(branch))
            branch = branch[part]
        return text

    return _Instance(scope, dict(_assigned("self", tree)), forward(scope.graph, access))


def _assigned(
    owner: str, tree: _Tree, listed: bool = False
) -> Iterator[tuple[tuple[str, str], Call]]:
    """Yields the assignments that build the tree below its owner; a list is one assignment."""
    for name, item in tree.items():
        if not listed:
            yield (owner, name), _made(item)
        if isinstance(item, dict):
            yield from _assigned(_member(owner, name, listed), item, is_list(item))


def _made(item: Call | _Tree) -> Call:
    if isinstance(item, Call):
        return item
    if not is_list(item):
        return Call("nn.Module")
    last = max(map(int, item))
    empty = Call("nn.Identity")
    parts = (_made(item.get(str(place), empty)) for place in range(last + 1))
    return Call("nn.ModuleList", tuple(parts))


def _member(owner: str, name: str, listed: bool) -> str:
    if listed:
        return f"{owner}[{name}]"
    return f"{owner}.{name}" if name.isidentifier() else f'getattr({owner}, "{name}")'


def _named(parameters: list[tuple[str, Slot]]) -> list[str]:
    """Names a class's parameters after the arguments, with the module if a name repeats."""
    found: list[str] = []
    for owner, slot in parameters:
        alone = sum(other.name == slot.name for _, other in parameters) == 1
        wanted = slot.name if alone or not owner.isidentifier() else f"{owner}_{slot.name}"
        names = (f"{wanted}{n}" if n > 1 else wanted for n in count(1))
        found.append(next(name for name in names if name not in found))
    return found


def _type(values: Sequence[str]) -> str:
    kinds = {type(literal_eval(value)).__name__ for value in values}
    return " | ".join(sorted(f"{kind}[int, ...]" if kind == "tuple" else kind for kind in kinds))


def _doc(instances: Sequence[_Instance]) -> str:
    """Says in one line where in the network a class is used."""
    places = [".".join(each.scope.path) for each in instances]
    if places == [""]:
        return "The whole network."
    room = WIDTH - len('    """ and 1000 more.""" ')
    shown = [places[0]]
    for place in places[1:]:
        if len(", ".join([*shown, place])) > room:
            break
        shown.append(place)
    rest = len(places) - len(shown)
    return f"{', '.join(shown)}{f' and {rest} more' if rest else ''}."
