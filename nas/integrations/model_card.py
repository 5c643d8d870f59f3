"""Writes a model card in Markdown for a network of a campaign.

Mitchell et al. 2019, "Model Cards for Model Reporting" (arXiv:1810.03993). The sections that a
campaign's records cannot fill are marked for the author.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from nas.analysis.tables.columns import metrics_of
from nas.analysis.tables.networks import campaign_table
from nas.analysis.tables.render import render
from nas.analysis.tables.trials import recorded
from nas.campaigns.store.types import Ask
from nas.errors import InputError
from nas.escape import fenced, markdown
from nas.export.script import onnx_script
from nas.files import read_json
from nas.jobs import names as named
from nas.jobs.references import Reference
from nas.spaces.choices import recipe_choices

_OPEN = "*To be written by whoever publishes this network.*"


def model_card(name: str) -> str:
    """Writes the card of the network that a reference such as ``results/NAME:best`` names.

    Raises :class:`InputError` if the name is not a reference to a trial of a campaign.
    """
    if not named.is_reference(name) or Path(name).is_dir():
        raise InputError(f"{name}: must name a campaign's network: results/NAME:best, or :TRIAL")
    folder = Path(name.rpartition(":")[0])
    _, history = recorded(folder)
    reference = named.reference(name)
    ask, specification = history.asks[reference.trial], history.header.specification
    table = campaign_table(folder, every_trial=ask.stage == "search")
    label = ask.label or ask.trial
    row = table[table["name"] == label].copy()
    metrics = metrics_of(row)
    row.attrs = {"metrics": row.attrs["metrics"]}  # the notes come below
    columns = ["name", "kind", "rank", "params", "macs", metrics.validation, metrics.test,
               "test_std", "test_low", "test_high", "seeds",
               *(n for n in metrics.on_predictions if row[n].notna().any())]  # fmt: skip
    classifies = "task" not in specification
    head = {
        "library_name": "pytorch",
        **({"pipeline_tag": "image-classification"} if classifies else {}),
        "tags": ["nas"],
    }
    what = "An image classifier" if classifies else f"A network for {specification['task']['name']}"
    lines = [
        f"---\n{yaml.safe_dump(head, sort_keys=False)}---\n",
        f"# {markdown(label)}\n",
        markdown(f"{what} that {_origin(ask, specification)}.")
        + f" This is trial `{ask.trial}`.\n",
        "## Model\n",
        *_model(ask, reference, specification),
        *_use(name, reference),
        "## Training\n",
        *_training(ask, specification),
        "## Evaluation\n",
        "Accuracies are fractions; means and 95 % intervals are over seeds of retraining.\n",
        render(row, "markdown", columns) + "\n",
        *(f"- {markdown(note)}" for note in table.attrs["notes"]),
        "\n## Intended use, limits, ethical considerations\n",
        _OPEN + " Only the metrics above were measured, on images like the training images.\n",
        "## Provenance\n",
        *_provenance(folder),
    ]
    return "\n".join(lines)


def _origin(ask: Ask, specification: Mapping[str, Any]) -> str:
    if ask.kind == "classic":
        return f"is the classic {ask.classic}"
    searcher = "random" if ask.kind == "random" else specification["searcher"]["name"]
    return f"was found by the searcher {searcher}"


def _model(ask: Ask, reference: Reference, specification: Mapping[str, Any]) -> Iterator[str]:
    architecture = reference.architecture
    yield f"- input: {'x'.join(map(str, architecture.input_shape))} (channels, height, width)"
    if (reading := specification.get("reading", "image")) != "image":
        yield f"- it reads an image as {reading}"
    output = "x".join(map(str, architecture.output_shape))
    yield (
        f"- output: scores of {output} classes"
        if "task" not in specification
        else f"- output: {output}"
    )
    yield from (f"- {key}: {count:,}" for key, count in architecture.cost._asdict().items())
    yield f"- fingerprint: `{architecture.fingerprint}`"
    if reference.space is not None and reference.genotype is not None:
        yield f"- in the space {markdown(reference.space.name)}:"
        yield f"\n{fenced(reference.space.to_string(reference.genotype))}"
    yield f"- weights: {reference.weights.name if reference.weights else 'not kept'}\n"


def _use(name: str, reference: Reference) -> Iterator[str]:
    """Yields the section on how to use the network, if its weights are kept."""
    preprocessing = reference.preprocessing
    if reference.weights is None or preprocessing is None:
        return
    example = onnx_script(named.short(name), preprocessing).rstrip()
    yield "## Use\n"
    yield "An export takes pixels from 0 to 255, because it holds the normalisation.\n"
    yield fenced(f"nas export {name} --to onnx", "console") + "\n"
    yield "This writes the ONNX file and this script, which needs numpy, Pillow and onnxruntime:\n"
    yield fenced(example, "python") + "\n"
    yield "How a picture becomes the network's input:\n"
    yield fenced(json.dumps(preprocessing.record()), "json") + "\n"


def _training(ask: Ask, specification: Mapping[str, Any]) -> Iterator[str]:
    if not {"data", "recipe"} <= specification.keys():
        yield "Nothing was trained: accuracies were looked up in a table.\n"
        return
    recipe = specification["recipe"] | recipe_choices(ask.genotype)
    yield f"From scratch, seed {ask.seed}.\n"
    for name, section in (("data", specification["data"]), ("recipe", recipe)):
        yield f"- {name}:"
        yield f"\n{fenced(yaml.safe_dump(section, sort_keys=False).rstrip(), 'yaml')}"
    yield ""


def _provenance(folder: Path) -> Iterator[str]:
    try:
        resolved = read_json(folder / "resolved.json")
        found = dict(resolved["environment"])
    except (OSError, ValueError, KeyError, TypeError):
        yield "The folder does not record where the campaign was run.\n"
        return
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    yield markdown(f"- Python {found['python']}, {versions}")
    yield markdown(f"- {found['platform']}, {found['processor']}, {found['cores']} cores")
    if found.get("git"):
        yield markdown(f"- commit {found['git']['commit']}")
