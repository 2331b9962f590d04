"""Folders of image files in the layout of ImageNet, PART/CLASS/FILE, also in a tar file as it is."""

from __future__ import annotations

import tarfile
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from tilework.errors import DataError
from tilework.pixels import framed, from_pixels, load_rgb
from tilework.train.data.dataset import Dataset, Floats, Indices, Labels, stratified

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
TRAIN = "train"

Opener = Callable[[], BinaryIO]
Found = dict[str, Opener]  # PART/CLASS/FILE, and what opens it


@dataclass(frozen=True, eq=False)
class ImageFolder:
    """Image files with labels, read when they are wanted: RGB, float32 [N,3,size,size] in 0..1.

    labels: int64 [N], each the place of its class in `classes`. What is read anew in each epoch costs its decoding
    each time: `load` makes a `Dataset` of what fits in memory.
    """

    files: tuple[tuple[str, Opener], ...]
    labels: Labels
    classes: tuple[str, ...]
    source: str
    size: int
    framing: str

    def __len__(self) -> int:
        return len(self.files)

    def take(self, indices: npt.NDArray[Any] | list[int]) -> ImageFolder:
        """The examples at these places, in this order; nothing is read."""
        places = np.arange(len(self))[indices]
        return replace(self, files=tuple(self.files[place] for place in places), labels=self.labels[places])

    def split(self, share: float, seed: int) -> tuple[ImageFolder, ImageFolder]:
        """The examples without a share of each class, and that share, as `stratified` draws it."""
        kept, held_out = stratified(self.labels, share, seed)
        return self.take(kept), self.take(held_out)

    def batch(self, indices: Indices) -> tuple[Floats, Labels]:
        """Images and labels at these places; raises ImageError, naming the file, for one that can't be read."""
        images = np.empty((len(indices), 3, self.size, self.size), np.float32)
        for place, index in enumerate(indices):
            name, opener = self.files[index]
            images[place] = from_pixels(framed(name, _image(name, opener), self.size, self.framing))
        return images, self.labels[indices]

    def load(self) -> Dataset:
        """All of it in memory; raises ImageError like `batch`."""
        images, labels = self.batch(np.arange(len(self)))
        return Dataset(images, labels, self.classes, self.source)


def image_folder(path: str | Path, part: str, size: int, framing: str = "whole") -> ImageFolder:
    """The images of a part ("train", "val", "test") of a folder or of a tar file that isn't packed.

    Files are PART/CLASS/NAME.jpg, in a tar file also with folders before them; others than images are left out.
    Classes are sorted by name, and those of the part "train" where there is one, so that labels of all parts agree.
    Every image becomes size x size by a framing of `tilework.pixels.framed`.
    Raises DataError where the part has no images or has a class that "train" lacks.
    """
    place = Path(path)
    found = _in_folder(place) if place.is_dir() else _in_tar(place)
    parts = {name.split("/")[0] for name in found}
    if part not in parts:
        there = f"only {', '.join(sorted(parts))}" if parts else "no such files"
        raise DataError(f"{path} must hold images as {part}/CLASS/NAME.jpg, and has {there}; check path and part")
    own = _classes(found, part)
    classes = _classes(found, TRAIN) if TRAIN in parts else own
    extra = sorted(set(own) - set(classes))
    if extra:
        raise DataError(f"{path} must have the classes of {part} in {TRAIN} too, and {extra[0]} is not; add or move it")
    files = sorted(name for name in found if name.startswith(f"{part}/"))
    labels = np.array([classes.index(name.split("/")[1]) for name in files], np.int64)
    source = f"{len(files):,} images of {len(own)} classes, {part} in {place.name}"
    named = tuple((f"{path}/{name}", found[name]) for name in files)
    return ImageFolder(named, labels, classes, source, size, framing)


def _classes(found: Iterable[str], part: str) -> tuple[str, ...]:
    return tuple(sorted({name.split("/")[1] for name in found if name.startswith(f"{part}/")}))


def _in_folder(folder: Path) -> Found:
    files = (file for file in folder.glob("*/*/*") if _is_image(file.name) and file.is_file())
    return {file.relative_to(folder).as_posix(): partial(_file, file) for file in files}


def _in_tar(path: Path) -> Found:
    """The images of a tar file, as deep in it as most are, by the last three parts of their names."""
    try:
        with tarfile.open(path, "r:") as archive:
            members = [member for member in archive if member.isreg() and _is_image(member.name)]
    except FileNotFoundError:
        raise DataError(f"{path} must be a folder or a tar file, but doesn't exist; check the path") from None
    except (tarfile.TarError, OSError):
        raise DataError(
            f"{path} must be a folder or a whole tar file that isn't packed, and is neither; unpack it or get it anew"
        ) from None
    depth = Counter(len(PurePosixPath(member.name).parts) for member in members).most_common(1)
    found: Found = {}
    for member in members:
        parts = PurePosixPath(member.name).parts
        if len(parts) == depth[0][0] >= 3:
            found["/".join(parts[-3:])] = partial(_member, path, member.offset_data, member.size)
    return found


def _file(path: Path) -> BinaryIO:
    return path.open("rb")


def _member(path: Path, start: int, size: int) -> BinaryIO:
    with path.open("rb") as file:
        file.seek(start)
        return BytesIO(file.read(size))


def _image(name: str, opener: Opener) -> Image:
    try:
        with opener() as file:
            return load_rgb(name, file)
    except OSError as error:
        raise DataError(f"{name} must be a readable file, not one with '{error.strerror}'; restore it") from None


def _is_image(name: str) -> bool:
    last = name.rpartition("/")[2]
    return not last.startswith(".") and Path(last).suffix.lower() in SUFFIXES
