"""Image files as pixels, and pixels as a network's input: framing, preparation, order of channels and axes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, BinaryIO

from tilework.errors import ImageError, MissingPackageError

if TYPE_CHECKING:
    import os

    import numpy as np
    import numpy.typing as npt
    from PIL.Image import Image

    Path = str | os.PathLike[str]
    Pixels = npt.NDArray[np.uint8]
    Floats = npt.NDArray[np.float32]

MOST_PIXELS = 2**26
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")  # for EPS, Pillow would run Ghostscript
MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "I", "I;16", "I;16B", "I;16L"}
MARGIN = 256 / 224  # how much longer a side is than the part of it that is cut out
CENTRE_SHARE = 0.875
# Of R, G and B in 0..1: what is subtracted and what the rest is divided by; then whether B comes first.
PREPARATIONS = {
    "torch": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), False),
    "tf": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), False),
    "caffe": ((123.68 / 255, 116.779 / 255, 103.939 / 255), (1 / 255, 1 / 255, 1 / 255), True),
}
ORDERS = ("RGB", "BGR")


def load_image(path: Path, file: BinaryIO | None = None) -> Image:
    """The first frame of the image file, upright by its EXIF orientation, in the file's own mode.

    Where `file` is given, it is read, and `path` is only what errors name.
    Raises ImageError if the file is missing, not of FORMATS, damaged or of more than MOST_PIXELS, and
    MissingPackageError without NumPy or Pillow.
    """
    for module, package in (("numpy", "NumPy"), ("PIL.Image", "Pillow")):
        try:
            import_module(module)
        except ImportError:
            raise MissingPackageError(f"an image needs the package {package}: pip install 'tilework[run]'") from None
    from PIL import Image, ImageOps

    with warnings.catch_warnings(action="ignore"):  # of damaged metadata, which the pixels don't need
        try:
            with Image.open(file or path, formats=FORMATS) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise Image.DecompressionBombError
                return ImageOps.exif_transpose(image)
        except Exception as error:  # on damaged data Pillow's decoders raise nearly every type
            raise ImageError(_reason(path, error)) from None


def load_rgb(path: Path, file: BinaryIO | None = None) -> Image:
    """The same as RGB of 8 bits a channel, transparency on white; Pillow alone would clip 16-bit gray.

    Raises ImageError like `load_image`, and for a mode that has no such form.
    """
    image = load_image(path, file)
    import numpy as np
    from PIL import Image

    if image.mode not in MODES:
        raise ImageError(f"{path} must be a gray, RGB or CMYK image, not of mode {image.mode}; save it as PNG")
    if image.mode.startswith("I"):
        levels = np.asarray(image)
        if levels.min() < 0 or levels.max() > 65535:
            raise ImageError(f"{path} must be an image of 8 or 16 bits a channel, but has more; save it as PNG")
        image = Image.fromarray((levels // 257).astype(np.uint8))
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def photograph(path: Path, size: int, preparation: str = "torch", framing: str = "shorter") -> Floats:
    """A photograph as a network for ImageNet wants it: float32 [1,3,size,size], framed (`framed`) and prepared.

    With what is the default torchvision prepares it too. Raises ImageError like `load_rgb`, `framed` and `prepared`.
    """
    check_preparation(preparation)
    return prepared(from_pixels(framed(path, load_rgb(path), size, framing))[None], preparation)


def framed(path: Path, image: Image, size: int, framing: str) -> Pixels:
    """An RGB image as uint8 [size,size,3]; Pillow's bilinear filter, which averages where it makes smaller.

    | framing | what is done |
    |---|---|
    | shorter | the shorter side becomes size * 256 / 224, then the centre is cut out |
    | square | both sides become size * 256 / 224, then the centre is cut out |
    | centre | the centre, 0.875 of each side, is cut out and resized |
    | whole | all of it is resized |

    Raises ImageError, naming `path`, if size or framing is unusable or the image too long and narrow.
    """
    import numpy as np

    if size < 1:
        raise ImageError(f"the size of the network's input must be at least 1, not {size}; give a positive one")
    if framing not in FRAMINGS:
        raise ImageError(f"the framing must be one of {', '.join(FRAMINGS)}, not {framing!r}; choose one")
    return np.asarray(FRAMINGS[framing](path, image, size))


def check_preparation(preparation: str) -> None:
    """Raise ImageError for a preparation that doesn't exist."""
    if preparation not in PREPARATIONS:
        raise ImageError(f"the preparation must be one of {', '.join(PREPARATIONS)}, not {preparation!r}; choose one")


def prepared(images: Floats, preparation: str) -> Floats:
    """RGB images [N,3,H,W] in 0..1 as networks for ImageNet were trained with: the modes of Keras.

    torch: minus ImageNet's mean, by its deviation; tf: to -1..1; caffe: to 0..255 minus the mean, and B, G, R.
    Raises ImageError if the preparation doesn't exist or the images don't have 3 channels.
    """
    import numpy as np

    check_preparation(preparation)
    if images.ndim != 4 or images.shape[1] != 3:
        raise ImageError(f"images must be [N,3,H,W] to be prepared, not {list(images.shape)}; give colour images")
    mean, deviation, reverse = PREPARATIONS[preparation]
    values = (images - np.array(mean, np.float32)[:, None, None]) / np.array(deviation, np.float32)[:, None, None]
    return np.ascontiguousarray(values[:, ::-1]) if reverse else values


def from_pixels(pixels: Pixels, order: str = "RGB") -> Floats:
    """The float32 [C,H,W] in 0..1, RGB, of pixels as libraries have them: uint8 [H,W,3] or gray [H,W].

    Pillow (by `np.asarray`) and scikit-image have the order RGB, OpenCV has BGR. Raises ImageError.
    """
    import numpy as np

    _check_order(order)
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (3,)):
        raise ImageError(
            f"pixels must be uint8 [H,W] or [H,W,3], not {pixels.dtype} {list(pixels.shape)}; convert them to RGB"
        )
    channels = np.atleast_3d(pixels)[:, :, :: 1 if order == "RGB" else -1].transpose(2, 0, 1)
    return np.ascontiguousarray(channels, np.float32) / np.float32(255)


def to_pixels(image: Floats, order: str = "RGB") -> Pixels:
    """The inverse of `from_pixels`: uint8 [H,W,3] or, of one channel, [H,W]; rounded, clipped to 0..255."""
    import numpy as np

    _check_order(order)
    if image.ndim != 3 or image.shape[0] not in (1, 3):
        raise ImageError(f"an image must be [1,H,W] or [3,H,W], not {list(image.shape)}; give one image")
    levels = np.clip(np.rint(image * np.float32(255)), 0, 255).astype(np.uint8)
    channels = levels[:: 1 if order == "RGB" else -1].transpose(1, 2, 0)
    return np.ascontiguousarray(channels[:, :, 0] if len(levels) == 1 else channels)


def _check_order(order: str) -> None:
    if order not in ORDERS:
        raise ImageError(f"the order of channels must be one of {', '.join(ORDERS)}, not {order!r}; choose one")


def _reason(path: Path, error: Exception) -> str:
    from PIL import Image, UnidentifiedImageError

    match error:
        case FileNotFoundError():
            return f"{path} must be an image file, but doesn't exist; check the path"
        case UnidentifiedImageError():
            return f"{path} must be an image ({', '.join(FORMATS)}), but is none; save it as PNG"
        case Image.DecompressionBombError():
            return f"{path} must be an image of at most {MOST_PIXELS} pixels, but has more; make it smaller"
        case OSError(errno=int()):
            return f"{path} must be a readable image file, but can't be opened ({error.strerror}); give another file"
        case _:
            return f"{path} must be a whole image, but is damaged or cut short; copy or save it anew"


def _shorter(path: Path, image: Image, size: int) -> Image:
    shorter = round(size * MARGIN)
    width, height = (shorter * side // min(image.size) for side in image.size)
    if width * height > MOST_PIXELS:
        raise ImageError(f"{path} must have at most {MOST_PIXELS} pixels once resized, not {width}x{height}; crop it")
    return _cut(_resized(image, width, height), size)


def _square(_: Path, image: Image, size: int) -> Image:
    side = round(size * MARGIN)
    return _cut(_resized(image, side, side), size)


def _centre(_: Path, image: Image, size: int) -> Image:
    width, height = image.size
    left, top = (math.floor(side * (1 - CENTRE_SHARE) / 2) for side in image.size)
    return _resized(image.crop((left, top, width - left, height - top)), size, size)


def _whole(_: Path, image: Image, size: int) -> Image:
    return _resized(image, size, size)


def _resized(image: Image, width: int, height: int) -> Image:
    from PIL.Image import Resampling

    return image.resize((width, height), Resampling.BILINEAR)


def _cut(image: Image, size: int) -> Image:
    left, top = (round((side - size) / 2) for side in image.size)
    return image.crop((left, top, left + size, top + size))


FRAMINGS: dict[str, Callable[[Path, Image, int], Image]] = {
    "shorter": _shorter,
    "square": _square,
    "centre": _centre,
    "whole": _whole,
}
