"""Reads and writes weights: state dicts in files, as they are published."""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from nas.errors import InputError
from nas.files import readable_file

_SHOWN = 3
_BEGIN, _HEAD = 64, 12
"""How many bytes at the beginning of a file are looked at, and shown."""

_PARTS = (
    "state_dict_ema", "model_ema", "ema_state_dict", "ema",
    "state_dict", "model_state_dict", "model", "module", "network", "net", "weights", "params",
    "checkpoint", "teacher",
)  # fmt: skip
"""The keys under which checkpoints of trainings hold a state dict, the preferred ones first.

The averaged weights come first, as in timm's ``load_state_dict``: they are what was published.
"""

_WRAPPERS = re.compile(
    r"(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
)
"""Parts of names that ``torch.compile`` and other wrappers add at any depth."""

_OLD_DENSENET = re.compile(r"(.*denselayer\d+\.(?:norm|conv))\.([12]\..*)")
"""Names in published DenseNet files (``denselayer1.norm.1.weight``), which torchvision renames."""

_COUNTERS = ("num_batches_tracked", "n_averaged")
"""Counters of batch norms and of averaged models, which are no weights."""


def load_weights(network: nn.Module, path: str | Path, *, transform_input: bool = False) -> None:
    """Copies the weights of a file into a network with the same names.

    The file may be one that torchvision or timm has published, or a checkpoint of a training:
    wrappers around the state dict (``state_dict``, ``model``, ``model_ema``) and around its names
    (``module.``, ``_orig_mod.``) are removed, and old names of DenseNets are renewed. Averaged
    weights (EMA) are preferred.

    Args:
        network: what ``nas.compile`` returns, for example. It keeps its device and its dtypes.
        path: a ``.safetensors`` file, or with any other name a file that ``torch.save`` wrote.
            Only tensors are unpickled, so the file cannot run code.
        transform_input: whether to change the first layer so that the network takes images that
            are normalised by the mean and the deviation of ImageNet, although the weights were
            trained with pixels from -1 to 1. It is torchvision's argument of that name for
            Inception v3, whose published weights need it.

    All weights of the network must be there, in its shapes, and no others. As in torch, the counter
    ``num_batches_tracked`` of a batch norm may be missing, because old files do not have it.

    Raises:
        InputError: naming missing, unexpected and misshapen keys, or saying why the file cannot
            be read. The network is then unchanged.
    """
    path = Path(path)
    own = network.state_dict()
    found = matched(read_weights(path).tensors, own)
    problems = [
        _listed("missing", [key for key in own if key not in found and not _optional(key)]),
        _listed("unexpected", [key for key in found if key not in own]),
        _listed(
            "misshapen",
            [
                f"{key} ({_shape(tensor)} in the file, {_shape(own[key])} in the network)"
                for key, tensor in found.items()
                if key in own and tensor.shape != own[key].shape
            ],
        ),
    ]
    if any(problems):
        hint = (
            "; to take only what fits, such as all layers but the classifier, start a training "
            "from it: nas train --from"
            if any(key in own and tensor.shape == own[key].shape for key, tensor in found.items())
            else ""
        )
        raise InputError(
            f"{path}: does not fit the network: " + "; ".join(filter(None, problems)) + hint
        )
    check_dtypes(found, own, str(path))
    if transform_input:
        found = _with_transformed_input(network, found)
    network.load_state_dict(found, strict=False)


def weights_bytes(network: nn.Module) -> bytes:
    """Return the content of a safetensors file with the state dict."""
    from safetensors.torch import save

    state = network.state_dict()
    return save({name: tensor.cpu().contiguous() for name, tensor in state.items()})


class Weights(NamedTuple):
    """The tensors of a file by their names, and the keys under which they were in a checkpoint."""

    tensors: dict[str, Tensor]
    part: str


def read_weights(path: Path) -> Weights:
    """Read the tensors of a state dict from a file, by the names in the file.

    The state dict may be inside a checkpoint. Sparse and quantised tensors become dense floats.

    Raises:
        InputError: if the file holds no state dict, or several without a known name, or a number
            that is not finite.
    """
    with readable_file(path) as file:  # the parsers hide the system's reason
        begin = file.read(_BEGIN)
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            data: Any = load_file(path)
        else:
            # Checkpoints hold the arguments of their script in a Namespace, which runs no code.
            with torch.serialization.safe_globals([argparse.Namespace]):
                data = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a parser may raise anything for a damaged file
        raise InputError(f"{path}: is not a readable state dict: {_reason(error, begin)}") from None
    state, keys = _state_dict(data, path)
    if not state:
        raise InputError(f"{path}: must hold a state dict, holds no tensors")
    dense = {name: _dense(tensor, f"{path}: {name}") for name, tensor in state.items()}
    return Weights(dense, ".".join(keys))


def matched(found: Mapping[str, Tensor], own: Collection[str]) -> dict[str, Tensor]:
    """Return tensors by the names of a network, as far as the names in a file tell them.

    Names that the network has are kept. For others, wrappers are removed, and then the beginning
    that most names share, if the network has what follows. A name that then is none of the network
    is returned as it was in the file.
    """
    plain = {name: _WRAPPERS.sub("", name) for name in found}
    renewed = {name: _OLD_DENSENET.sub(r"\1\2", text) for name, text in plain.items()}
    begins: Counter[str] = Counter()
    for text in renewed.values():
        parts = text.split(".")
        for depth in range(len(parts)):
            if ".".join(parts[depth:]) in own:
                begins["".join(f"{part}." for part in parts[:depth])] += 1
    begin = max(begins, key=lambda each: (begins[each], -len(each)), default="")
    result: dict[str, Tensor] = {}
    for name, tensor in found.items():
        texts = (name, plain[name], renewed[name].removeprefix(begin))
        fits = next((text for text in texts if text in own), None)
        if fits is not None or not name.endswith(_COUNTERS):
            result.setdefault(name if fits is None else fits, tensor)
    return result


def check_dtypes(found: Mapping[str, Tensor], own: Mapping[str, Tensor], source: str) -> None:
    """Raise :class:`InputError` for tensors that would lose their meaning in a network.

    These are complex numbers, and integers, as of a quantised network, where it has floats.
    """
    for name, tensor in found.items():
        if name not in own or not own[name].is_floating_point() or tensor.is_floating_point():
            continue
        if tensor.is_complex():
            kind, way = "complex numbers", "save its real part, if that is what you mean"
        else:
            kind, way = (
                "integers, as of a quantised network",
                "save the network before quantisation",
            )
        raise InputError(
            f"{source}: {name} holds {kind} ({str(tensor.dtype).removeprefix('torch.')}), but the "
            f"network has floats; {way}"
        )


def _state_dict(data: Any, path: Path, *keys: str) -> tuple[Mapping[str, Tensor], tuple[str, ...]]:
    """Returns the state dict that data are or hold, and the keys that lead to it."""
    if not isinstance(data, Mapping):
        raise InputError(f"{path}: must hold a state dict, holds a {type(data).__name__}")
    other = [
        str(key)
        for key, value in data.items()
        if not (isinstance(key, str) and isinstance(value, Tensor))
    ]
    if not other:
        return data, keys
    held = [part for part in _PARTS if isinstance(data.get(part), Mapping)]
    for part in sorted(held, key=lambda part: not data[part]):  # an empty one only without others
        return _state_dict(data[part], path, *keys, part)
    raise InputError(
        f"{path}: is not a state dict: {_listed('not tensors', other)}; save the state dict alone, "
        f"or under one of the keys {', '.join(_PARTS)}"
    )


def _dense(tensor: Tensor, where: str) -> Tensor:
    if tensor.is_meta:
        raise InputError(f"{where} was saved without its numbers (on the device meta)")
    if tensor.is_quantized:
        return tensor.dequantize()
    dense = tensor if tensor.layout == torch.strided else tensor.to_dense()
    if dense.is_floating_point() and not dense.float().isfinite().all():
        raise InputError(f"{where} holds nan or infinity: the training that saved it has diverged")
    return dense


def _reason(error: Exception, begin: bytes) -> str:
    """Returns one line that says why a parser has refused a file that begins so."""
    text = str(error)
    if not begin:
        return "it is empty"
    if begin.startswith(b"version https://git-lfs"):
        return "it is a pointer of Git LFS; fetch the file itself with git lfs pull"
    if found := re.search(r"GLOBAL ([\w.]+)", text):
        return (
            f"it holds a Python object beside tensors ({found[1]}), which may run code; if you "
            "trust the file, load it in Python and save its state dict alone"
        )
    if "TorchScript" in text:
        return "it is a TorchScript archive; save torch.jit.load(file).state_dict()"
    if begin.startswith(b"PK") and b".npy" in begin:
        return "it holds arrays of numpy; save them with torch.save, as a dict of tensors by name"
    if begin.startswith((b"PK", b"\x80")):
        return "it is damaged, or was not saved by torch.save"
    if "deserializing" in text:
        return text
    return f"it was not saved by torch.save, whose files do not begin with {begin[:_HEAD]!r}"


def _with_transformed_input(network: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights to which the transformation of the input has been moved.

    The transformation is ``scale * x + shift`` per channel, where x is normalised for ImageNet. It
    is moved into the first convolution, and the shift into the mean of the norm behind it. This is
    exact if the convolution does not pad.
    """
    convs = [(n, m) for n, m in network.named_modules() if isinstance(m, nn.Conv2d)]
    norms = [(n, m) for n, m in network.named_modules() if isinstance(m, nn.BatchNorm2d)]
    (conv, layer), (norm, _) = convs[0], norms[0]
    if layer.in_channels != 3 or layer.bias is not None or layer.padding != (0, 0):
        raise InputError(
            f"transform_input: the first convolution, {conv}, must have three input channels, no "
            "bias and no padding; normalise pixels to the range from -1 to 1 instead"
        )
    scale = torch.tensor([0.229, 0.224, 0.225]) / 0.5
    shift = (torch.tensor([0.485, 0.456, 0.406]) - 0.5) / 0.5
    weight, mean = state[f"{conv}.weight"], state[f"{norm}.running_mean"]
    moved = (weight * shift.view(1, 3, 1, 1)).sum((1, 2, 3))
    return {
        **state,
        f"{conv}.weight": weight * scale.view(1, 3, 1, 1),
        f"{norm}.running_mean": mean - moved,
    }


def _optional(key: str) -> bool:
    return key.endswith(".num_batches_tracked")


def _listed(what: str, keys: Sequence[str]) -> str:
    if not keys:
        return ""
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return f"{what}: {', '.join(keys[:_SHOWN])}{more}"


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"
