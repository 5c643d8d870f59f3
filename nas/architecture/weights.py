"""Reads and writes weights: state dicts in files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nas.errors import InputError

_SHOWN = 3


def load_weights(network: nn.Module, path: str | Path) -> None:
    """Copies a torchvision or timm state dict into a network with the same names.

    Args:
        network: what ``nas.compile`` returns, for example. It keeps its device and its dtypes.
        path: a ``.safetensors`` file, or with any other name a state dict that ``torch.save``
            wrote. Only tensors are unpickled, so the file cannot run code.

    The names and shapes must be exactly those of the network. As in torch, the counter
    ``num_batches_tracked`` of a batch norm may be missing, because old files do not have it.

    Raises:
        InputError: naming missing, unexpected and misshapen keys, or saying why the file cannot
            be read. The network is then unchanged.
    """
    path = Path(path)
    found, own = read_weights(path), network.state_dict()
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
        raise InputError(f"{path}: does not fit the network: " + "; ".join(filter(None, problems)))
    network.load_state_dict(found)


def weights_bytes(network: nn.Module) -> bytes:
    """Return the content of a safetensors file with the state dict."""
    from safetensors.torch import save

    state = network.state_dict()
    return save({name: tensor.cpu().contiguous() for name, tensor in state.items()})


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a state dict from a file, by name.

    Raises:
        InputError: if the file is not a state dict.
    """
    try:
        with path.open("rb"):  # the parsers hide the system's reason
            pass
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        data: Any = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    except Exception as error:  # a parser may raise anything for a damaged file
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise InputError(f"{path}: is not a readable state dict: {reason}") from None
    if not isinstance(data, dict):
        raise InputError(f"{path}: must hold a state dict, holds a {type(data).__name__}")
    wrong = [str(key) for key, value in data.items() if not isinstance(value, Tensor)]
    if wrong:
        raise InputError(f"{path}: is not a state dict: {_listed('not tensors', wrong)}")
    return data


def _optional(key: str) -> bool:
    return key.endswith(".num_batches_tracked")


def _listed(what: str, keys: Sequence[str]) -> str:
    if not keys:
        return ""
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return f"{what}: {', '.join(keys[:_SHOWN])}{more}"


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"
