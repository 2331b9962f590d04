"""Image folders and tar files of them, written here file by file."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tilework.errors import DataError, ImageError
from tilework.train.data.augment import augmentation
from tilework.train.data.batches import Batches
from tilework.train.data.folders import image_folder

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
FILES = {  # in an order that isn't the one wanted, with the level of red
    "train/dog/b.png": 30,
    "train/cat/a.JPEG": 0,
    "train/dog/a.png": 20,
    "train/cat/b.png": 10,
    "train/ant/c.png": 5,
    "val/dog/z.png": 40,
    "val/cat/z.png": 50,
}


def written(folder: Path) -> Path:
    for name, level in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (6, 4), (level, 100, 200)).save(folder / name)
    (folder / "train" / "dog" / "notes.txt").write_text("no image")
    (folder / "train" / "dog" / ".a.png").write_text("hidden")
    (folder / "train" / "README.png").write_text("no class")
    return folder


def packed(folder: Path, archive: Path, prefix: str = "", mode: str = "w") -> Path:
    with tarfile.open(archive, mode) as tar:  # type: ignore[call-overload]
        for file in sorted(folder.rglob("*"), reverse=True):
            tar.add(file, prefix + file.relative_to(folder).as_posix(), recursive=False)
    return archive


@pytest.fixture(params=["folder", "tar", "tar in a folder", "tar with dots"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = written(tmp_path / "pets")
    prefixes = {"tar": "", "tar in a folder": "some/pets/", "tar with dots": "./"}
    return folder if request.param == "folder" else packed(folder, tmp_path / "pets.tar", prefixes[request.param])


def test_files_become_labelled_images(place: Path) -> None:
    found = image_folder(place, "train", 3)
    assert found.classes == ("ant", "cat", "dog")
    assert found.labels.tolist() == [0, 1, 1, 2, 2]
    assert found.labels.dtype == np.int64
    assert found.source == f"5 images of 3 classes, train in {place.name}"
    data = found.load()
    assert (data.images.shape, data.images.dtype) == ((5, 3, 3, 3), np.float32)
    np.testing.assert_allclose(data.images[:, 0, 1, 1] * 255, [5, 0, 10, 20, 30], atol=3)  # one is a JPEG
    np.testing.assert_allclose(data.images[0, :, 0, 0] * 255, [5, 100, 200], atol=1e-4)
    assert (data.classes, data.source) == (found.classes, found.source)


def test_parts_have_the_labels_of_train(place: Path) -> None:
    found = image_folder(place, "val", 3)
    assert found.classes == ("ant", "cat", "dog")
    assert found.labels.tolist() == [1, 2]
    assert found.source == f"2 images of 2 classes, val in {place.name}"


def test_taking_and_splitting_read_nothing(tmp_path: Path) -> None:
    folder = written(tmp_path)
    found = image_folder(folder, "train", 3)
    for name in FILES:
        (folder / name).unlink()
    assert found.take([4, 0]).labels.tolist() == [2, 0]
    kept, held_out = found.split(0.5, 0)
    assert (kept.labels.tolist(), held_out.labels.tolist()) == ([0, 1, 2], [1, 2])
    with pytest.raises(DataError) as caught:
        kept.batch(np.array([1, 0]))
    assert (
        str(caught.value) == f"{kept.files[1][0]} must be a readable file, not one with '{os.strerror(2)}'; restore it"
    )


def test_batches_of_files(place: Path) -> None:
    files = image_folder(place, "train", 8)
    change = augmentation(shift=1, flip=0.5)
    lazy, whole = Batches(files, 2, 1, change), Batches(files.load(), 2, 1, change)
    for (images, labels), (expected, expected_labels) in zip(lazy.epoch(4), whole.epoch(4), strict=True):
        assert images.tobytes() == expected.tobytes()
        assert labels.tolist() == expected_labels.tolist()


def test_framings_are_applied(tmp_path: Path) -> None:
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 255
    (tmp_path / "train" / "a").mkdir(parents=True)
    Image.fromarray(wide).save(tmp_path / "train" / "a" / "wide.png")
    assert image_folder(tmp_path, "train", 7, "shorter").load().images.min() > 0.5
    assert image_folder(tmp_path, "train", 7).load().images.min() < 0.1


def test_a_damaged_image_is_named(place: Path) -> None:
    if place.is_dir():
        bad = place / "train" / "cat" / "b.png"
        bad.write_bytes(bad.read_bytes()[:50])
    else:
        raw = bytearray(place.read_bytes())
        start = raw.index(b"train/cat/b.png\0") // 512 * 512 + 512
        raw[start + 43 : start + 60] = bytes(17)
        place.write_bytes(raw)
    found = image_folder(place, "train", 3)
    with pytest.raises(ImageError) as caught:
        found.load()
    message = "must be a whole image, but is damaged or cut short; copy or save it anew"
    assert str(caught.value) == f"{place}/train/cat/b.png {message}"


def test_a_missing_part(place: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        image_folder(place, "test", 3)
    message = "must hold images as test/CLASS/NAME.jpg, and has only train, val; check path and part"
    assert str(caught.value) == f"{place} {message}"
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError) as caught:
        image_folder(tmp_path / "empty", "train", 3)
    message = "must hold images as train/CLASS/NAME.jpg, and has no such files; check path and part"
    assert str(caught.value) == f"{tmp_path / 'empty'} {message}"


def test_a_class_too_many(tmp_path: Path) -> None:
    folder = written(tmp_path)
    (folder / "val" / "dog").rename(folder / "val" / "wolf")
    with pytest.raises(DataError) as caught:
        image_folder(folder, "val", 3)
    message = "must have the classes of val in train too, and wolf is not; add or move it"
    assert str(caught.value) == f"{folder} {message}"
    for file in (folder / "train").rglob("*.*"):
        file.unlink()
    assert image_folder(folder, "val", 3).classes == ("cat", "wolf")  # without train, the part's own


def test_archives_that_are_none(tmp_path: Path) -> None:
    folder = written(tmp_path / "pets")
    whole = packed(folder, tmp_path / "pets.tar").read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[: whole.index(b"train/cat/b.png\0") + 600])
    (tmp_path / "text.tar").write_bytes(b"text" * 300)
    packed(folder, tmp_path / "pets.tar.gz", mode="w:gz")
    message = "must be a folder or a whole tar file that isn't packed, and is neither; unpack it or get it anew"
    for name in ("cut.tar", "text.tar", "pets.tar.gz"):
        with pytest.raises(DataError) as caught:
            image_folder(tmp_path / name, "train", 3)
        assert str(caught.value) == f"{tmp_path / name} {message}"
    with pytest.raises(DataError) as caught:
        image_folder(tmp_path / "absent", "train", 3)
    message = "must be a folder or a tar file, but doesn't exist; check the path"
    assert str(caught.value) == f"{tmp_path / 'absent'} {message}"


def test_natural_images_from_a_tar_file() -> None:
    archive = SHARED / "cifar10" / "cifar10-jpeg-18000.tar"
    if not archive.is_file():
        pytest.skip("the natural images of ../shared/data are not there")
    train, test = (image_folder(archive, part, 32) for part in ("train", "test"))
    assert np.bincount(train.labels).tolist() == [1500] * 10
    assert np.bincount(test.labels).tolist() == [300] * 10
    assert train.classes == test.classes
    assert train.classes[:3] == ("airplane", "automobile", "bird")
    with tarfile.open(archive) as tar:
        member = tar.extractfile("test/frog/0007.jpg")
        assert member is not None
        expected = np.asarray(Image.open(io.BytesIO(member.read()))).transpose(2, 0, 1) / 255
    place = [name.endswith("test/frog/0007.jpg") for name, _ in test.files].index(True)
    np.testing.assert_allclose(test.batch(np.array([place]))[0][0], expected, atol=1e-6)
