"""Describes what a trained network expects of a picture, and what its outputs mean."""

from __future__ import annotations

from typing import Any, Literal

from nas.configuration import Config


class Preprocessing(Config):
    """Describes how a picture becomes the input of a trained network.

    It is recorded with the results of a training; exports, model cards and ``nas predict`` read it.
    A picture is converted to ``colour`` and brought to the size of the input. Its pixels, from 0 to
    255, are normalised: ``(pixel - mean) / std``.

    Attributes:
        input_shape: the shape of an image, (C, H, W); (C, D, H, W) of a volume, (C, L) of a series.
        colour: "grey" or "rgb"; None if the images are no pictures: they have another number of
            channels, or hold other values than pixels.
        fit: how a picture of another size is brought to that of the input, by bilinear scaling:
            "crop" scales it until it covers the input, and cuts out its middle; "squeeze" scales
            both sides independently.
        mean: the mean of the training pixels of each channel, from 0 to 255.
        std: the standard deviation of the training pixels of each channel, in the same unit.
        output: "probabilities" of the classes; "tags", which are those of each class on its own;
            "masks", which are those of every pixel; "images", pixels from 0 to 1; "boxes", each x
            and y of two corners in pixels of the input, and the probability of each class; or
            "scores", the network's own outputs.
        classes: the names of the classes in the order of the outputs; None if outputs are not
            classes.
        nms: of boxes, the overlap from which on the less probable of two of a class is left out.
        low: the value of each channel that becomes the pixel 0, if the data set holds other values
            than pixels.
        high: the value of each channel that becomes 255. Values between are spread evenly and
            rounded, see :func:`nas.training.datasets.scaling.to_pixels`.
    """

    input_shape: tuple[int, ...]
    colour: Literal["grey", "rgb"] | None = None
    fit: Literal["crop", "squeeze"] = "crop"
    mean: tuple[float, ...]
    std: tuple[float, ...]
    output: Literal["probabilities", "tags", "masks", "images", "boxes", "scores"]
    classes: tuple[str, ...] | None = None
    nms: float | None = None
    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None

    @property
    def activation(self) -> Literal["softmax(1)", "sigmoid()", ""]:
        """Returns the method that makes probabilities of scores, if they are scores of classes."""
        if self.output in ("probabilities", "masks"):
            return "softmax(1)"
        return "sigmoid()" if self.output == "tags" else ""

    @property
    def dtype(self) -> Literal["uint8", "float32"]:
        """Returns the type of the input: pixels, or the values of a series [C, L]."""
        return "float32" if len(self.input_shape) == 2 else "uint8"

    def record(self) -> dict[str, Any]:
        """Returns it as plain JSON, for records and files, without what does not apply."""
        return self.model_dump(mode="json", exclude_none=True)
