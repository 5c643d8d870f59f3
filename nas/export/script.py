"""Writes the script that runs an exported network on pictures, without this package."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from nas.preprocessing import Preprocessing


@dataclass(frozen=True)
class Runtime:
    """How a script loads and runs one form of export.

    Attributes:
        imports: what it imports besides numpy and Pillow.
        load: the lines that load ``{file}``, with ``{weights}`` and the class ``{cls}`` in it.
        run: the expression for the outputs of one picture, given its ``pixels``.
        names: the expression for the names of the classes; ``{metadata}`` is the file beside.
    """

    imports: tuple[str, ...]
    load: tuple[str, ...]
    run: str
    names: str = 'json.load(open({metadata}))["preprocessing"]["classes"]'


def script(
    runtime: Runtime, path: Path, weights: Path, cls: str, preprocessing: Preprocessing
) -> str:
    """Writes a script that prints the class of each picture that is given to it.

    For a network that returns a mask or an image, it writes this for each picture, and prints the
    name of its file; for one that detects, it prints the boxes after non-maximum suppression.
    It needs numpy, Pillow and what the runtime imports, but not this package. It reads pictures as
    ``nas predict`` does, except those with 16 bits.

    Args:
        runtime: how the exported file is loaded and run.
        path: the exported file, which the script looks for in the current folder.
        weights: the file of weights, if there is one.
        cls: the class in a file of Python.
        preprocessing: what the network was trained with.
    """
    pictures = preprocessing.colour is not None
    masks, boxes = preprocessing.output == "masks", preprocessing.output == "boxes"
    written = _WRITTEN.get(preprocessing.output) if pictures or masks else None
    names = preprocessing.output in ("probabilities", "tags", "boxes")
    files = {"file": path.name, "weights": weights.name, "metadata": metadata_path(path).name}
    values = {key: json.dumps(value) for key, value in {**files, "cls": cls}.items()}
    imports = {"sys", "numpy", *runtime.imports, *(["json"] if names else [])}
    standard = sorted(imports & sys.stdlib_module_names)
    shown = "names[outputs.argmax()], outputs.max()" if names else "outputs.tolist()"
    if written:
        shown = f'file + ".{written[0]}.png"'
    if boxes:
        shown = "json.dumps(found)"
    argument = "picture.png" if pictures else "array.npy"
    lines = [
        f"# Run it as: python {script_path(path).name} {argument}",
        *(f"import {name}" for name in standard),
        "",
        *(f"import {name}" for name in sorted(imports - {*standard})),
        *(["from PIL import Image"] if pictures or masks else []),
        "",
        *(line.format(**values) for line in runtime.load),
        *([f"names = {runtime.names.format(**values)}"] if names else []),
        *(_OVERLAP if boxes else []),
        "for file in sys.argv[1:]:",
        *(f"    {line}" for line in _reading(preprocessing)),
        f"    outputs = {runtime.run}",
        *(f"    {line}" for line in (_boxes(preprocessing) if boxes else [])),
        *([f"    Image.fromarray({written[1]}).save({shown})"] if written else []),
        f"    print(file, {shown})",
    ]
    return "\n".join(lines) + "\n"


_WRITTEN = {
    "masks": ("mask", 'outputs.argmax(0).astype("uint8")'),
    "images": ("output", '(outputs * 255).round().astype("uint8").transpose(1, 2, 0).squeeze()'),
}
"""What is written as a picture: the end of its name, and the expression for its pixels."""


_OVERLAP = [
    "",
    "",
    "def overlap(a, b):",
    "    both = (numpy.minimum(a[2:], b[2:]) - numpy.maximum(a[:2], b[:2])).clip(0).prod()",
    "    areas = (a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod()",
    "    return both / max(areas - both, 1e-9)",
    "",
    "",
]
"""The lines that compute the intersection over union of two boxes."""


def _boxes(preprocessing: Preprocessing) -> list[str]:
    """Writes the lines that suppress boxes, and bring others to the pixels of the picture."""
    _, height, width = preprocessing.input_shape
    back = f"[whole[0] / {width}, whole[1] / {height}]"
    shift = ""
    if preprocessing.colour is None:
        back = "[1, 1]"
    elif preprocessing.fit == "crop":
        back, shift = "[whole[0] / size[0], whole[1] / size[1]]", " + [left, top, left, top]"
    return [
        f"boxes = outputs[:, :4].clip(0, [{width}, {height}, {width}, {height}])",
        "kept, found = [], []",
        'for place in numpy.argsort(-outputs[:, 4:], axis=None, kind="stable")[:300]:',
        "    row, label = divmod(int(place), outputs.shape[1] - 4)",
        "    better = [overlap(boxes[row], boxes[r]) for r, other in kept if other == label]",
        f"    if max(better, default=0) <= {preprocessing.nms} and len(kept) < 100:",
        "        kept.append((row, label))",
        "for row, label in kept:",
        f"    box = (boxes[row]{shift}) * numpy.array({back} * 2)",
        "    if outputs[row, 4 + label] >= 0.05:",
        '        found.append({"class": names[label], "box": box.tolist(),',
        '                      "probability": float(outputs[row, 4 + label])})',
    ]


def _reading(preprocessing: Preprocessing) -> list[str]:
    """Writes the lines that read a picture by the rules of training, or an array."""
    if preprocessing.colour is None:
        return _reading_array(preprocessing)
    _, height, width = preprocessing.input_shape
    grey = preprocessing.colour == "grey"
    if preprocessing.fit == "squeeze":
        resize = [f"picture = picture.resize(({width}, {height}), Image.Resampling.BILINEAR)"]
    else:
        resize = [
            f"scale = max({width} / picture.width, {height} / picture.height)",
            f"size = max({width}, round(picture.width * scale)), "
            f"max({height}, round(picture.height * scale))",
            f"left, top = (size[0] - {width}) // 2, (size[1] - {height}) // 2",
            "picture = picture.resize(size, Image.Resampling.BILINEAR)",
            f"picture = picture.crop((left, top, left + {width}, top + {height}))",
        ]
    boxes = preprocessing.output == "boxes"
    return [
        f'picture = Image.open(file).convert("{"L" if grey else "RGB"}")',
        *(["whole = picture.size"] if boxes else []),
        *resize,
        "pixels = numpy.asarray(picture)[None]" if grey
        else "pixels = numpy.asarray(picture).transpose(2, 0, 1)",
    ]  # fmt: skip


def _reading_array(preprocessing: Preprocessing) -> list[str]:
    """Writes the lines that read an array; those for values of any range are ``to_pixels``."""
    if preprocessing.low is None or preprocessing.high is None:
        pixels = preprocessing.dtype == "uint8"
        wrong = 'pixels.dtype != "uint8"' if pixels else 'pixels.dtype.kind != "f"'
        expected = "uint8, from 0 to 255" if pixels else "floats"
        return [
            "pixels = numpy.load(file)",
            f"if {wrong}:",
            f'    sys.exit(f"{{file}}: holds {{pixels.dtype}}; expected {expected}")',
            *([] if pixels else ['pixels = pixels.astype("float32")']),
        ]
    ones = [1] * (len(preprocessing.input_shape) - 1)
    spans = [
        high - low or 1.0 for low, high in zip(preprocessing.low, preprocessing.high, strict=True)
    ]
    return [
        f"low = numpy.reshape({list(preprocessing.low)}, {[-1, *ones]})",
        f"span = numpy.reshape({spans}, {[-1, *ones]})",
        f"values = numpy.load(file).reshape({list(preprocessing.input_shape)})",
        'values = (values.astype("float64") - low) * (255 / span)',
        "values = numpy.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)",
        'pixels = values.clip(0, 255).round().astype("uint8")',
    ]


def metadata_path(path: Path) -> Path:
    """Returns the path of the metadata beside an export, such as ``net_onnx_metadata.json``."""
    return path.with_name(f"{_plain(path.name)}_metadata.json")


def script_path(path: Path) -> Path:
    """Returns the path of the script beside an export, such as ``net_onnx_predict.py``."""
    return path.with_name(f"{_plain(path.name)}_predict.py")


def default_path(name: str, suffix: str) -> Path:
    """Returns the file of an export for which no path is given."""
    return Path(_plain(name) + suffix)


def _plain(text: str) -> str:
    """Replaces everything in a name but letters and digits."""
    return re.sub(r"\W+", "_", text).strip("_")


def onnx_script(name: str, preprocessing: Preprocessing) -> str:
    """Returns the script that stands beside the ONNX file of a network, for documents."""
    path = default_path(name, ".onnx")
    return script(RUNTIMES["onnx"], path, path, "", preprocessing)


_ONNXRUNTIME = Runtime(
    ("onnxruntime",),
    ("network = onnxruntime.InferenceSession({file})",),
    'network.run(None, {"input": pixels[None]})[0][0]',
    'json.loads(network.get_modelmeta().custom_metadata_map["classes"])',
)
_RUN_TORCH = "network(torch.tensor(pixels[None]))[0].detach().numpy()"

RUNTIMES: dict[str, Runtime] = {
    "python": Runtime(
        ("runpy", "torch"),
        (
            "network = runpy.run_path({file})[{cls}]().eval()",
            "network.load_state_dict(torch.load({weights}))",
        ),
        _RUN_TORCH,
    ),
    "onnx": _ONNXRUNTIME,
    "onnx-int8": _ONNXRUNTIME,
    "torchscript": Runtime(("torch",), ("network = torch.jit.load({file})",), _RUN_TORCH),
    "torch-export": Runtime(
        ("torch",), ("network = torch.export.load({file}).module()",), _RUN_TORCH
    ),
    "executorch": Runtime(
        ("executorch.runtime", "torch"),
        (
            "program = executorch.runtime.Runtime.get().load_program({file})",
            'network = program.load_method("forward")',
        ),
        "network.execute([torch.tensor(pixels[None])])[0][0].numpy()",
    ),
}
"""How each form of export is run; only this package reads the form json."""
