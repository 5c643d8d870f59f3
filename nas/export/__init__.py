"""Exports a network as Python, ONNX, TorchScript, a torch program or JSON."""

from nas.export.exporting import Exported, export
from nas.export.parity import ExportError

__all__ = ["ExportError", "Exported", "export"]
