"""Exports a network as Python, ONNX, TorchScript, torch or ExecuTorch program, or JSON."""
