"""One export: what a form writes, and what becomes of it."""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nas.architecture.network import Network, compile
from nas.errors import InputError
from nas.export.parity import ExportError, Run
from nas.export.pictures import OnPictures, Samples
from nas.preprocessing import Preprocessing


@dataclass(frozen=True)
class Job:
    """One export: what to write, and where.

    Attributes:
        network: the network, on the CPU and in eval mode.
        name: the name of the network as the user wrote it.
        path: the file to write.
        weights: whether to keep the weights; random weights are written only if a form needs some.
        opset: the opset of ONNX; None for torch's default.
        dynamic_batch: whether any batch size is allowed.
        preprocessing: what the network was trained with, which becomes part of the export; None to
            export the network alone.
        samples: images of the data set, if they are at hand.
    """

    network: Network
    name: str
    path: Path
    weights: bool
    opset: int | None = None
    dynamic_batch: bool = False
    preprocessing: Preprocessing | None = None
    samples: Samples | None = None

    @property
    def module(self) -> nn.Module:
        """The network as it is exported: without auxiliary heads, and from pixels if possible."""
        main = _inference(self.network)
        if self.preprocessing is None:
            return main
        return OnPictures(main, self.preprocessing).eval()

    @property
    def example(self) -> Tensor:
        """An input to trace with; a dynamic batch is not 1, because torch would fix that size."""
        batch = 2 if self.dynamic_batch else 1
        plain = self.preprocessing is None or self.preprocessing.dtype == "float32"
        kind = torch.float32 if plain else torch.uint8
        return torch.zeros(batch, *self.network.architecture.input_shape, dtype=kind)

    @property
    def dynamic_shapes(self) -> Any:
        """Returns the dynamic axes of the input in ``torch.export``'s form."""
        return ({0: torch.export.Dim("batch")},) if self.dynamic_batch else None

    def weights_path(self, suffix: str) -> Path:
        """Returns the path of the weights beside the main file."""
        return self.path.with_name(f"{self.path.stem}_weights{suffix}")


@dataclass(frozen=True)
class Written:
    """What became of a job.

    Attributes:
        run: a function that runs the written file.
        note: a remark on the file.
        measured: what was measured on test images, if the form is not exact.
    """

    run: Run
    note: str
    measured: dict[str, Any] | None = None


def require(form: str, *packages: str, extra: str = "export") -> None:
    """Raises :class:`InputError` that says how to install packages that are missing."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"--to {form} needs {', '.join(missing)}: install with "
            f"pip install '.[{extra}]' in the folder of this package"
        )


def _inference(network: Network) -> Network:
    """Returns the network without auxiliary heads, which some exporters would trace or keep."""
    if len(network.architecture.outputs) == 1:
        return network
    main = compile(network.architecture.inference())
    state = network.state_dict()
    main.load_state_dict({key: state[key] for key in main.state_dict()})
    return main.eval()


@contextmanager
def quiet() -> Iterator[None]:
    """Suppresses the exporters' warnings, which are about torch's internals."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


@contextmanager
def told(tool: str) -> Iterator[None]:
    """Turns failures of a tool into :class:`ExportError` with its innermost reason."""
    try:
        yield
    except Exception as error:  # an exporter may raise any exception
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        reason = str(cause).strip().partition("\n")[0] or type(cause).__name__
        raise ExportError(f"{tool}: {reason}") from error
