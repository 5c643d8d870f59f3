"""The commands that use trained networks elsewhere: they export them, and classify pictures."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from nas.cli.arguments import add_architecture, named_architecture, whole
from nas.errors import InputError

if TYPE_CHECKING:
    from nas.architecture.network import Network
    from nas.cli.arguments import Commands
    from nas.export.pictures import Samples
    from nas.jobs.references import Reference
    from nas.preprocessing import Preprocessing


def add(commands: Commands) -> None:
    """Adds the commands of this module."""
    export = commands.add_parser("export", help="write a network, or a campaign, in another form")
    add_architecture(export)
    export.add_argument(
        "--to",
        required=True,
        metavar="FORM",
        help="for a network: python, onnx, onnx-int8, torchscript, torch-export, executorch or "
        "json; for a campaign's network also card; for a campaign (results/NAME): optuna or "
        "tensorboard; submission: the search itself for the contest on unseen data, in the new "
        "folder NAME",
    )
    export.add_argument(
        "--weights",
        help="a state dict (.safetensors or torch.save), or a reference; default: the weights of "
        "the reference NAME, or random values",
    )
    export.add_argument(
        "--out",
        help="the file (tensorboard: a folder; optuna: a file or URL); default: named after NAME",
    )
    export.add_argument("--opset", type=whole(1), help="of ONNX; default: torch's")
    export.add_argument(
        "--dynamic-batch", action="store_true", help="allow any batch size (onnx, torch-export)"
    )
    export.add_argument(
        "--raw",
        action="store_true",
        help="export the network alone, which takes normalised images and returns scores",
    )
    export.set_defaults(command=_export)

    predict = commands.add_parser("predict", help="print the classes of pictures")
    predict.add_argument(
        "name",
        help="a trained network: results/NAME:best or :TRIAL, or a folder of `nas train`",
    )
    predict.add_argument(
        "pictures", nargs="*", help="pictures, folders of pictures, or .npy files of images"
    )
    predict.add_argument(
        "--part",
        choices=("train", "validation", "test"),
        help="instead of pictures: this part of the data set that the network was trained on",
    )
    predict.add_argument(
        "--top",
        type=whole(1),
        default=3,
        help="classes, or boxes, that are printed per picture; default: %(default)s",
    )
    predict.add_argument(
        "--out",
        metavar="PATH",
        help="a folder for masks or images, if the network returns these; or a .npy or .csv file "
        "for outputs that are numbers, such as embeddings",
    )
    predict.add_argument("--json", action="store_true", help="print one JSON object per picture")
    predict.set_defaults(command=_predict)


def _export(arguments: argparse.Namespace) -> int:
    from nas.export.formats import FORMATS
    from nas.integrations.formats import BRIDGES
    from nas.registry import unknown

    if arguments.to not in {*FORMATS, *BRIDGES}:
        raise InputError(f"--to: {unknown('form', arguments.to, [*FORMATS, *BRIDGES])}")
    if arguments.to in BRIDGES:
        unfit = ["--" + name.replace("_", "-")
                 for name in ("input", "classes", "weights", "opset", "dynamic_batch", "raw")
                 if getattr(arguments, name)]  # fmt: skip
        if unfit:
            raise InputError(f"{unfit[0]}: only for networks, not for --to {arguments.to}")
        print(BRIDGES[arguments.to](arguments.name, arguments.out))
        return 0
    return _export_network(arguments)


def _export_network(arguments: argparse.Namespace) -> int:
    from nas.architecture.network import compile
    from nas.architecture.weights import load_weights
    from nas.export.exporting import export
    from nas.export.parity import ExportError, draw_weights
    from nas.jobs import names as named

    source = arguments.weights or arguments.name  # the name of what has been trained
    trained = named.reference(source) if named.is_reference(source) else None
    weights: Path | None = None
    if arguments.weights is not None:
        weights = named.weights(arguments.weights)
    elif trained is not None:
        holds_weights = arguments.to not in ("python", "json")
        kept = named.kept_weights(source, trained) if holds_weights else None
        weights = kept or trained.verified_weights()
    network = compile(named_architecture(arguments))
    if weights is None:
        draw_weights(network)
    else:
        load_weights(network, weights)
    preprocessing: Preprocessing | None = None
    samples: Samples | None = None
    notes: list[str] = []
    if trained is not None and weights is not None and not arguments.raw:
        preprocessing, samples, notes = _inside(source, trained, network, arguments.to)
    try:
        done = export(
            network,
            arguments.to,
            named.short(arguments.name),
            None if arguments.out is None else Path(arguments.out),
            weights=weights is not None,
            preprocessing=preprocessing,
            samples=samples,
            opset=arguments.opset,
            dynamic_batch=arguments.dynamic_batch,
            keep=[path for path in (Path(arguments.name), weights) if path is not None],
        )
    except ExportError as error:
        print(f"nas: {arguments.name} as {arguments.to}: {error}", file=sys.stderr)
        return 1
    print(f"wrote {', '.join(map(str, done.paths))}: {done.note}")
    print(f"input {done.input}; output {done.output}")
    if done.difference is not None:
        print(
            f"checked: read back, it differs by {done.difference:.1e} of the largest output at "
            f"batch {' and '.join(map(str, done.batches))}"
        )
    if done.pictures:
        print(
            f"checked: from file to class, its script answers {done.pictures} test pictures as the "
            "evaluation here does"
        )
    for note in notes:
        print(f"note: {note}")
    if weights is not None:
        told = trained.accuracies.items() if trained is not None else ()
        print(", ".join([f"weights of {weights}", *(f"{key} {value:.4f}" for key, value in told)]))
    else:
        print("without --weights: the weights are random" + (
            ", none are written" if arguments.to in ("python", "json") else ""
        ))  # fmt: skip
    return 0


def _inside(
    name: str, trained: Reference, network: Network, to: str
) -> tuple[Preprocessing, Samples | None, list[str]]:
    """Returns what makes an export take pictures, images to check it on, and remarks."""
    from nas.jobs.inputs import preprocessing_of, samples

    try:
        preprocessing, note = preprocessing_of(name, trained)
    except InputError as error:
        raise InputError(f"{error}; --raw exports the network alone") from None
    notes = [note] if note else []
    try:
        return (
            preprocessing,
            samples(name, trained, network, preprocessing, to == "onnx-int8"),
            notes,
        )
    except InputError as error:
        if to == "onnx-int8":
            raise
        return preprocessing, None, [*notes, f"not checked on test pictures: {error}"]


def _predict(arguments: argparse.Namespace) -> None:
    from nas.jobs.predict import predict, write

    if bool(arguments.pictures) == (arguments.part is not None):
        raise InputError("predict: give either pictures, or a part of the data set with --part")
    found, notes = predict(arguments.name, arguments.pictures, arguments.top, arguments.part)
    if arguments.out is not None:
        write(found, Path(arguments.out))
    for note in notes:
        print(f"nas: note: {note}", file=sys.stderr)
    width = max(len(each.file) for each in found)
    for each in found:
        if arguments.json:
            print(json.dumps(each.record()))
        elif each.classes is None:
            print(f"{each.file:{width}}  {' '.join(f'{value:.6g}' for value in each.values)}")
        else:
            pairs = zip(each.classes, each.values, strict=True)
            words = [f"{name} {value:.4f}" for name, value in pairs]
            if each.boxes is not None:
                places = (f"({', '.join(f'{v:.1f}' for v in box)})" for box in each.boxes)
                words = [" ".join(pair) for pair in zip(words, places, strict=True)]
                more = len(words) - arguments.top
                words[arguments.top :] = [f"and {more} more"] if more > 0 else []
            told = "  ".join(words)
            is_of = f"is {each.label}: " if each.label is not None else ""
            print(f"{each.file:{width}}  {is_of}{told}")
    if arguments.part is not None and found[0].label is not None and not arguments.json:
        right = sum(each.is_right for each in found)
        print(f"accuracy {right / len(found):.4f}: {right} of {len(found)} images")
