"""Weights: seeded, from files of each format, and shipped; every error whole."""

from __future__ import annotations

import os
import sys
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tilework.errors import MissingPackageError, WeightsError
from tilework.frontend import weight_files
from tilework.frontend.weight_files import FORMATS, given, load, seeded, shipped
from tilework.frontend.zoo import network
from tilework.network.graph import Graph, GraphBuilder

Arrays = Mapping[str, npt.NDArray[Any]]


def small() -> Graph:
    g = GraphBuilder("small")
    g.input("image", (1, 2, 4, 4))
    g.node("conv", "conv2d", "image", g.weight("conv.weight", (3, 2, 3, 3)), g.weight("conv.bias", (3,)))
    keys = ("weight", "bias", "running_mean", "running_var")
    g.node("bn", "batch_norm", "conv", *(g.weight(f"bn.{k}", (3,), not k.startswith("running")) for k in keys))
    g.node("flatten", "flatten", "bn")
    return g.graph(g.node("fc", "linear", "flatten", g.weight("fc.weight", (5, 12))))


def need(*modules: str) -> None:
    for module in modules:
        pytest.importorskip(module, reason=f"{module} is not installed")


def save_npz(path: Path, arrays: Arrays, savez: Callable[..., None] = np.savez) -> None:
    with open(path, "wb") as file:  # to a name, savez would append a suffix
        savez(file, **arrays)


def save_safetensors(path: Path, arrays: Arrays) -> None:
    need("safetensors")
    from safetensors.numpy import save_file

    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path)


def save_torch(path: Path, arrays: Arrays, checkpoint: bool = False, zipped: bool = True) -> None:
    need("torch")
    import torch

    state = {name: torch.nn.Parameter(torch.from_numpy(array), False) for name, array in arrays.items()}
    content = {"epoch": 3, "state_dict": state} if checkpoint else state
    torch.save(content, path, _use_new_zipfile_serialization=zipped)


Save = Callable[[Path, Arrays], None]
SAVERS: list[tuple[str, Save]] = [
    ("w.npz", save_npz),
    ("w.NPZ", partial(save_npz, savez=np.savez_compressed)),
    ("w.safetensors", save_safetensors),
    ("w.pt", save_torch),
    ("w.pth", partial(save_torch, checkpoint=True)),
    ("w.pt", partial(save_torch, zipped=False)),
]
PLAIN = [("w.npz", save_npz), ("w.safetensors", save_safetensors), ("w.pt", save_torch)]


def fails(path: Path, graph: Graph) -> str:
    with pytest.raises(WeightsError) as caught:
        load(path, graph)
    return str(caught.value)


@pytest.mark.parametrize(("file", "save"), SAVERS)
def test_round_trip(tmp_path: Path, file: str, save: Save) -> None:
    graph = small()
    expected = dict(seeded(graph, 7))
    save(tmp_path / file, expected)
    weights = load(tmp_path / file, graph)
    assert weights.origin == file
    assert list(weights) == [t.name for t in graph.weights]
    for name, array in expected.items():
        np.testing.assert_array_equal(weights[name], array)
        assert weights[name].dtype == np.float32
        weights[name][...] = 0
        np.testing.assert_array_equal(weights[name], array)


@pytest.mark.parametrize("dtype", ["float16", "float64", "int8", "uint8", "int32", "int64"])
@pytest.mark.parametrize(("file", "save"), PLAIN)
def test_other_dtypes_become_float32(tmp_path: Path, file: str, save: Save, dtype: str) -> None:
    graph = small()
    given = {t.name: np.arange(t.elements).reshape(t.shape).astype(dtype) for t in graph.weights}
    save(tmp_path / file, given)
    weights = load(tmp_path / file, graph)
    for name, array in given.items():
        assert weights[name].dtype == np.float32
        np.testing.assert_array_equal(weights[name], array.astype(np.float32))


def test_bfloat16(tmp_path: Path) -> None:
    need("torch", "safetensors", "ml_dtypes")
    import torch
    from safetensors.torch import save_file

    graph = small()
    given = {n: torch.from_numpy(a).bfloat16() for n, a in seeded(graph).items()}
    save_file(given, tmp_path / "w.safetensors")
    torch.save(given, tmp_path / "w.pt")
    for file in ("w.safetensors", "w.pt"):
        weights = load(tmp_path / file, graph)
        for name, tensor in given.items():
            np.testing.assert_array_equal(weights[name], tensor.float().numpy())


def test_bfloat16_without_ml_dtypes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("torch", "safetensors")
    import torch
    from safetensors.torch import save_file

    graph = small()
    save_file({n: torch.from_numpy(a).bfloat16() for n, a in seeded(graph).items()}, tmp_path / "w.safetensors")
    weights = load(tmp_path / "w.safetensors", graph)
    monkeypatch.setattr(weight_files, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError) as caught:
        weights["fc.weight"]
    assert str(caught.value) == ("reading bfloat16 tensors needs the package ml_dtypes: pip install 'tilework[onnx]'")


def test_column_major_and_big_endian_arrays(tmp_path: Path) -> None:
    graph = small()
    expected = dict(seeded(graph))
    given = {n: np.asfortranarray(a) for n, a in expected.items()} | {"conv.bias": expected["conv.bias"].astype(">f4")}
    save_npz(tmp_path / "w.npz", given)
    weights = load(tmp_path / "w.npz", graph)
    for name, array in expected.items():
        np.testing.assert_array_equal(weights[name], array)
        assert weights[name].flags.c_contiguous
        assert weights[name].dtype.isnative


@pytest.mark.parametrize(("file", "save"), PLAIN)
def test_batch_counters_are_passed_over(tmp_path: Path, file: str, save: Save) -> None:
    graph = small()
    save(tmp_path / file, dict(seeded(graph)) | {"bn.num_batches_tracked": np.array(3)})
    assert len(load(tmp_path / file, graph)) == len(graph.weights)


@pytest.mark.parametrize(("file", "save"), PLAIN)
def test_unfit_tensors(tmp_path: Path, file: str, save: Save) -> None:
    graph = small()
    good = dict(seeded(graph))
    save(tmp_path / file, {n: a for n, a in good.items() if n != "conv.bias"})
    assert fails(tmp_path / file, graph) == (
        f"{file} must hold the tensor conv.bias of shape [3] for network small, but lacks it"
    )
    save(tmp_path / file, good | {"fc.weight": good["fc.weight"].T.copy()})
    assert fails(tmp_path / file, graph) == f"fc.weight in {file} must have the shape [5, 12], not [12, 5]"
    save(tmp_path / file, good | {"head.bias": good["conv.bias"].copy()})
    assert fails(tmp_path / file, graph) == (
        f"{file} must hold only tensors of network small, which has none named head.bias"
    )
    save(tmp_path / file, good | {"conv.bias": np.array([True, False, True])})
    name = "BOOL" if file.endswith("safetensors") else "bool"
    assert fails(tmp_path / file, graph) == f"conv.bias in {file} must hold real numbers, not {name}"


def test_arrays_that_are_given() -> None:
    graph = small()
    arrays = {name: array.astype(np.float64) for name, array in seeded(graph).items()}
    weights = given(arrays, graph)
    assert weights.keys() == arrays.keys()
    assert {weights[name].dtype.name for name in weights} == {"float32"}
    with pytest.raises(WeightsError) as caught:
        given(arrays | {"conv.bias": arrays["conv.bias"][:2]}, graph)
    assert str(caught.value) == "conv.bias in the arrays given must have the shape [3], not [2]"


def test_dtypes_that_are_no_real_numbers(tmp_path: Path) -> None:
    graph = small()
    path = tmp_path / "w.npz"
    for values, name in [
        (np.array(["a", "b", "c"]), "str32"),
        (np.array([1, 2, 3], complex), "complex128"),
        (np.array([1, None, "c"], object), "object"),
    ]:
        save_npz(path, dict(seeded(graph)) | {"conv.bias": values})
        assert fails(path, graph) == f"conv.bias in w.npz must hold real numbers, not {name}"


def test_things_in_a_state_dict_that_are_no_tensors(tmp_path: Path) -> None:
    need("torch")
    import torch

    graph = small()
    good = {n: torch.from_numpy(a) for n, a in seeded(graph).items()}
    torch.save(good | {"epoch": 3}, tmp_path / "w.pt")
    assert fails(tmp_path / "w.pt", graph) == "w.pt must hold only tensors of network small, which has none named epoch"
    torch.save(good | {"conv.bias": [1.0, 2.0, 3.0]}, tmp_path / "w.pt")
    assert fails(tmp_path / "w.pt", graph) == "conv.bias in w.pt must hold real numbers, not a list"
    torch.save(good | {"conv.bias": torch.ones(3).to_sparse()}, tmp_path / "w.pt")
    assert fails(tmp_path / "w.pt", graph) == "conv.bias in w.pt must hold real numbers, not a sparse tensor"


def test_numbers_too_large_for_float32(tmp_path: Path) -> None:
    graph = small()
    save_npz(tmp_path / "w.npz", dict(seeded(graph)) | {"conv.bias": np.array([1.0, 1e39, 2.0])})
    weights = load(tmp_path / "w.npz", graph)
    with pytest.raises(WeightsError) as caught:
        weights["conv.bias"]
    assert str(caught.value) == "every number of conv.bias in w.npz must fit into float32"


def test_files_that_are_not_there(tmp_path: Path) -> None:
    graph = small()
    missing = tmp_path / "missing.npz"
    assert fails(missing, graph) == f"the weight file {missing} must exist and be a file"
    folder = tmp_path / "folder.pt"
    folder.mkdir()
    assert fails(folder, graph) == f"the weight file {folder} must exist and be a file"
    assert fails(tmp_path / "w.h5", graph) == (
        "a weight file's name must end in .npz, .safetensors, .pt, .pth, which w.h5 does not"
    )


def test_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "w.npz"
    save_npz(path, dict(seeded(small())))

    def forbid(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(zipfile, "ZipFile", forbid)
    assert fails(path, small()) == f"the weight file {path} must be readable, but permission is denied"


@pytest.mark.parametrize(("file", "save"), PLAIN)
@pytest.mark.parametrize("damage", ["empty", "foreign", "half", "all but a byte"])
def test_damaged_files(tmp_path: Path, file: str, save: Save, damage: str) -> None:
    path = tmp_path / file
    save(path, dict(seeded(small())))
    whole = path.read_bytes()
    cuts = {
        "empty": b"",
        "foreign": b"\x89PNG\r\n" * 100,
        "half": whole[: len(whole) // 2],
        "all but a byte": whole[:-1],
    }
    path.write_bytes(cuts[damage])
    kind = FORMATS[path.suffix].description
    assert fails(path, small()) == f"{file} must be {kind}; it is cut short, damaged or something else"


def test_damage_found_while_reading(tmp_path: Path) -> None:
    graph = network("lenet5")
    path = tmp_path / "w.npz"
    save_npz(path, dict(seeded(graph)))
    content = bytearray(path.read_bytes())
    content[bytes(content).index(seeded(graph)["fc1.weight"].tobytes()) + 100_000] ^= 1
    path.write_bytes(content)
    weights = load(path, graph)
    np.testing.assert_array_equal(weights["fc2.weight"], seeded(graph)["fc2.weight"])
    with pytest.raises(WeightsError) as caught:
        weights["fc1.weight"]
    assert str(caught.value) == (
        "w.npz must be a NumPy archive of arrays (numpy.savez); it is cut short, damaged or something else"
    )


def test_pickled_code_is_not_run(tmp_path: Path) -> None:
    need("torch")
    import torch

    class Attack:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "attacked"),)

    torch.save({"conv.bias": Attack()}, tmp_path / "w.pt")
    assert fails(tmp_path / "w.pt", small()) == (
        "w.pt must be a state dict saved by torch.save(model.state_dict(), …); "
        "it is cut short, damaged or something else"
    )
    assert not (tmp_path / "attacked").exists()


@pytest.mark.parametrize(("suffix", "package"), [(".pt", "torch"), (".safetensors", "safetensors")])
def test_missing_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, package: str) -> None:
    path = tmp_path / f"w{suffix}"
    path.write_bytes(b"anything")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackageError) as caught:
        load(path, small())
    assert str(caught.value) == (f"reading a {suffix} file needs the package {package}: pip install 'tilework[torch]'")


def test_shipped_weights_fit() -> None:
    weights = shipped("lenet5")
    assert weights is not None
    assert weights.origin == "trained on MNIST, shipped with Tilework"
    assert {n: a.shape for n, a in weights.items()} == {t.name: t.shape for t in network("lenet5").weights}
    assert shipped("vgg19") is None
