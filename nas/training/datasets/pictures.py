"""Turns everything that shows a picture into pixels, by one set of rules for all data sets.

A picture is a file, a Pillow image, an array, a tensor, or a dict with the bytes of a file, as
Hugging Face's data sets hold it. ``nas predict`` reads its files by the same rules as training.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from nas.errors import InputError, in_file
from nas.files import open_to_read
from nas.training.datasets.files import shown
from nas.training.datasets.objects import Objects, moved, objects, within
from nas.training.datasets.stored import Pixels

Fit = Literal["crop", "squeeze"]
"""How a picture is brought to another aspect ratio: its middle is cut out, or it is distorted."""

Size = tuple[int, int]
"""Height and width in pixels."""

_GREY = ("1", "L", "LA", "La", "I", "F")
_ROUNDING = 1e-3
"""How far floats may lie outside of 0 to 1; it is less than one step of uint8."""
_CHUNK = 2**22
"""How many values of an array are scaled at a time."""
_MOST_SCALED = 2**28
"""The largest number of pixels to which a picture is scaled before its middle is cut out."""


def read_pictures(
    paths: Sequence[str | Path], channels: int, size: Size | int | None = None, fit: Fit = "crop"
) -> Pixels:
    """Reads picture files as training reads those of a folder, uint8 [N, C, H, W].

    Args:
        paths: the files, in any format that Pillow reads.
        channels: 3 for colour, 1 for grey.
        size: height and width of the result in pixels; one number means a square, and None keeps
            the size, which must then be the same for all files.
        fit: see :func:`pixels`.

    Raises :class:`InputError`, which names the file.
    """
    shape = (size, size) if isinstance(size, int) else size
    read = [read_picture(path, channels, shape, fit) for path in paths]
    for path, picture in zip(paths, read, strict=True):
        if picture.shape != read[0].shape:
            sizes = [f"{each.shape[2]}x{each.shape[1]}" for each in (picture, read[0])]
            raise InputError(
                f"{shown(path)}: is of {sizes[0]} pixels, {shown(paths[0])} of {sizes[1]}"
            )
    if not read:
        return np.empty((0, channels, *(shape or (0, 0))), np.uint8)
    return np.stack(read)


def read_picture(
    path: str | Path, channels: int, size: Size | None = None, fit: Fit = "crop"
) -> Pixels:
    """Reads one picture file, uint8 [C, H, W]; see :func:`read_pictures`."""
    with opened(path) as picture:
        return pixels(picture, channels, size, fit)


@contextmanager
def opened(source: str | Path | io.BytesIO) -> Iterator[Image.Image]:
    """Opens a picture; an :class:`InputError` names its file if it is none, or is damaged."""
    with nullcontext() if isinstance(source, io.BytesIO) else in_file(shown(source)):
        try:
            file = source if isinstance(source, io.BytesIO) else open_to_read(Path(source))
            with file, Image.open(file) as picture:
                yield picture
        except UnidentifiedImageError:
            raise InputError("is not a picture that Pillow can read") from None
        except InputError:
            raise
        except Image.DecompressionBombError as error:
            raise InputError(str(error)) from None
        except FileNotFoundError:
            raise InputError("No such file") from None
        except MemoryError:
            raise InputError("is damaged: it names a size that is larger than the memory") from None
        except (OSError, SyntaxError, ValueError, EOFError) as error:
            raise InputError(f"is damaged: {error}") from None


def pixels(
    image: Any, channels: int | None = None, size: Size | None = None, fit: Fit = "crop"
) -> Pixels:
    """Converts one picture to uint8 [C, H, W].

    Pillow images are converted by their mode: palettes become the colours that they stand for, and
    16 bits are scaled to 8. The camera's orientation (EXIF) and transparency are ignored, as in
    torchvision's ``ImageFolder``. Arrays and tensors are [H, W], [C, H, W] or [H, W, C] with 1, 3
    or 4 channels, of uint8, uint16, bool, or floats from 0 to 1.

    Args:
        image: a Pillow image, an array, a tensor, the path of a file, the bytes of a file, or a
            dict with ``bytes`` or ``path``.
        channels: 3 for colour, 1 for grey; None keeps what the picture has.
        size: height and width of the result; None keeps the size.
        fit: ``crop`` scales the picture until it covers the size, and cuts out its middle;
            ``squeeze`` scales both sides independently. Both are bilinear with antialiasing.

    Raises :class:`InputError` with the reason if it is none of these.
    """
    if isinstance(image, Mapping):
        image = image.get("bytes") or image.get("path")
    if isinstance(image, bytes):
        image = io.BytesIO(image)
    if isinstance(image, str | Path | io.BytesIO):
        with opened(image) as picture:
            return pixels(picture, channels, size, fit)
    if isinstance(image, Image.Image):
        grey = is_grey(image) if channels is None else channels == 1
        picture = _converted(_eight_bits(image), "L" if grey else "RGB")
    else:
        values = _array(image)
        if channels in (None, len(values)) and size in (None, values.shape[1:]):
            return values
        picture = Image.fromarray(values[0] if len(values) == 1 else values.transpose(1, 2, 0))
        picture = _converted(picture, {None: picture.mode, 1: "L", 3: "RGB"}[channels])
    found = np.asarray(picture if size is None else _resized(picture, size, fit), np.uint8)
    return found[None] if found.ndim == 2 else np.ascontiguousarray(found.transpose(2, 0, 1))


def mask(given: Any, size: Size | None = None, fit: Fit = "crop") -> Pixels:
    """Converts one mask to uint8 [H, W]: a class for every pixel, scaled without mixing classes.

    Args:
        given: a picture as for :func:`pixels`, whose values are the classes; a palette's indices,
            not its colours. Or an array of whole numbers from 0 to 255, [H, W] or [1, H, W].
        size: height and width of the result; None keeps the size.
        fit: see :func:`pixels`.

    Raises :class:`InputError` with the reason if it is none of these.
    """
    if isinstance(given, str | Path):
        with opened(given) as picture:
            return mask(picture, size, fit)
    if isinstance(given, Image.Image) and given.mode not in ("1", "L", "P", "I", "I;16"):
        raise InputError(
            f"has pixels of Pillow's mode {given.mode}; a mask has one channel with the number of "
            "the class"
        )
    values = np.asarray(given)
    values = values[0] if values.ndim == 3 and len(values) == 1 else values
    if values.ndim != 2 or values.dtype.kind not in "biu":
        raise InputError(
            f"is an array of {values.dtype} {list(values.shape)}; a mask has whole numbers [H, W]"
        )
    if values.size and not 0 <= values.min() <= values.max() <= 255:
        wrong = values.min() if values.min() < 0 else values.max()
        raise InputError(f"holds {wrong}; expected classes from 0 to 254, or 255")
    found = values.astype(np.uint8)
    if size is None or size == found.shape:
        return found
    return np.asarray(_resized(Image.fromarray(found), size, fit, Image.Resampling.NEAREST))


def with_geometry(label: Any, image: Pixels, size: Size | None, fit: Fit) -> Any:
    """Returns the label of an image that is brought to a size; masks and boxes change with it.

    A Pillow image, or whole numbers of more than one axis, is a mask: see :func:`mask`. A dict has
    boxes: see :func:`nas.training.datasets.objects.objects`.

    Raises :class:`InputError` if it is none, or does not fit the image.
    """
    if (held := objects(label)) is not None:
        return with_boxes(held, image.shape[1:], size, fit)
    values = None if isinstance(label, Image.Image) else np.asarray(label)
    if values is not None and (values.ndim < 2 or values.dtype.kind not in "biu"):
        return label
    found = mask(label)
    if found.shape != image.shape[1:]:
        raise InputError(
            f"its mask is of {found.shape[1]}x{found.shape[0]} pixels, the image of "
            f"{image.shape[2]}x{image.shape[1]}"
        )
    return mask(found, size, fit)


def with_boxes(found: Objects, of: Size, size: Size | None, fit: Fit) -> Objects:
    """Returns the objects of a picture of one size that is brought to another.

    Raises :class:`InputError` with the reason if a box does not fit the picture.
    """
    height, width = of
    found = within(found, width, height)
    if size is None:
        return found
    whole, left, upper = _placed(width, height, size, fit)
    return moved(found, (whole[0] / width, whole[1] / height), (left, upper), size)


def put_back(
    boxes: npt.NDArray[np.floating], of: tuple[int, int], size: Size, fit: Fit
) -> npt.NDArray[np.floating]:
    """Returns boxes [n, 4] of an image in the pixels of the picture from which it was made.

    Args:
        boxes: in pixels of the image.
        of: the width and height of the picture.
        size: the height and width of the image.
        fit: how the picture was brought to this size.
    """
    whole, left, upper = _placed(*of, size, fit)
    scale = of[0] / whole[0], of[1] / whole[1]
    found: npt.NDArray[np.floating] = (boxes + (left, upper) * 2) * (scale * 2)
    return found


def is_grey(picture: Image.Image) -> bool:
    """Tells if a Pillow image has no colour, by its mode."""
    return picture.mode in _GREY or picture.mode.startswith("I;16")


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Converts a picture to 8 bits; Pillow's own conversion would clip values above 255.

    Pillow scales a PGM file with more than 8 bits by its largest value, to 16 bits in mode I.
    """
    if picture.mode.startswith("I;16") or (picture.mode == "I" and picture.format == "PPM"):
        return Image.fromarray(np.rint(np.asarray(picture) / 257).astype(np.uint8))
    if picture.mode in ("I", "F"):
        raise InputError(
            f"has pixels of 32 bits (Pillow's mode {picture.mode}), the range of which is unknown; "
            "save it with 8 or 16 bits per channel"
        )
    return picture


def _converted(picture: Image.Image, mode: str) -> Image.Image:
    try:
        return picture.convert(mode)
    except ValueError as error:
        raise InputError(f"has pixels of Pillow's mode {picture.mode}: {error}") from None


def _array(image: Any) -> Pixels:
    """Converts an array or a tensor to uint8 [C, H, W] with 1 or 3 channels."""
    if hasattr(image, "is_floating_point"):  # a tensor
        image = image.detach().cpu()
        image = image.float() if image.is_floating_point() else image
    try:
        values = as_bytes(np.asarray(image))
    except (TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"an object of type {type(image).__name__} is no image: {error}") from None
    if values.ndim == 2:
        return values[None]
    if values.ndim == 3 and values.shape[0] in (1, 3) and 0 not in values.shape:
        return values
    if values.ndim == 3 and values.shape[2] in (1, 3, 4) and 0 not in values.shape:
        return np.ascontiguousarray(values[:, :, :3].transpose(2, 0, 1))
    raise InputError(
        f"is of shape {list(values.shape)}; expected [H, W], [C, H, W] or [H, W, C] with "
        "1 or 3 channels"
    )


def as_bytes(values: npt.NDArray[Any]) -> Pixels:
    """Scales pixels of uint8, uint16, bool, or floats from 0 to 1, to uint8.

    Raises :class:`InputError` for others, because nothing says which value is white.
    """
    if values.dtype.kind == "f":
        least, most = values.min(initial=0.0), values.max(initial=0.0)
        if not -_ROUNDING <= least <= most <= 1 + _ROUNDING:
            raise InputError(
                f"holds floats from {least:.4g} to {most:.4g}; they must be from 0 to 1: "
                "divide by the largest possible value, and do not normalise"
            )
    elif values.dtype not in (np.uint8, np.uint16, np.bool_):
        raise InputError(
            f"is an array of {values.dtype}, the range of which is unknown; expected uint8, "
            "uint16, bool, or floats from 0 to 1"
        )
    found = np.empty(values.shape, np.uint8)
    rows, scaled = np.atleast_1d(values), np.atleast_1d(found)
    # In chunks: floats of a whole data set would be copied several times.
    step = max(1, _CHUNK // max(1, math.prod(rows.shape[1:])))
    for start in range(0, len(rows), step):
        scaled[start : start + step] = _scaled(rows[start : start + step])
    return found


def _scaled(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    scaled = values
    if values.dtype.kind == "f":
        scaled = np.rint(np.clip(values, 0, 1) * 255)
    elif values.dtype == np.uint16:
        scaled = np.rint(values / 257)
    elif values.dtype == np.bool_:
        scaled = values * np.uint8(255)
    return scaled


def _resized(
    picture: Image.Image,
    size: Size,
    fit: Fit,
    by: Image.Resampling = Image.Resampling.BILINEAR,
) -> Image.Image:
    height, width = size
    if picture.size == (width, height):
        return picture
    whole, left, upper = _placed(picture.width, picture.height, size, fit)
    if whole[0] * whole[1] > max(_MOST_SCALED, 4 * width * height):
        raise InputError(
            f"is of {picture.width}x{picture.height} pixels, too long to be cropped to "
            f"{width}x{height}; fit: squeeze distorts it"
        )
    scaled = picture.resize(whole, by)
    return scaled.crop((left, upper, left + width, upper + height))


def _placed(width: int, height: int, size: Size, fit: Fit) -> tuple[tuple[int, int], int, int]:
    """Returns the width and height to which a picture is scaled, and what is cut off then."""
    if fit == "squeeze":
        return size[::-1], 0, 0
    scale = max(size[1] / width, size[0] / height)
    whole = max(size[1], round(width * scale)), max(size[0], round(height * scale))
    return whole, (whole[0] - size[1]) // 2, (whole[1] - size[0]) // 2
