"""Resizing, grids, regions, suppression and places of non-zeros, against ONNX Runtime, torch and brute force."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn import functional

from tilework.errors import NetworkError
from tilework.frontend.from_onnx import from_onnx
from tilework.frontend.from_torch import from_torch
from tilework.network.execute import execute
from tilework.network.graph_text import parse_graph
from tilework.network.host_sampling import SAMPLING

Array = npt.NDArray[Any]

GENERATOR = np.random.default_rng(0)
IMAGE = GENERATOR.standard_normal((2, 3, 7, 9)).astype(np.float32)
GRID = GENERATOR.uniform(-1.6, 1.6, (2, 4, 5, 2)).astype(np.float32)


def both(
    operator: str, inputs: dict[str, Array], constants: dict[str, Array], **attributes: Any
) -> tuple[Array, Array]:
    """What we find for an operator and what ONNX Runtime does; an empty constant is left out."""
    opset = attributes.pop("opset", 20)
    names = [*inputs, *(name if values.size else "" for name, values in constants.items())]
    element = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64}
    given = [helper.make_tensor_value_info(n, element[str(v.dtype)], v.shape) for n, v in inputs.items()]
    kind = TensorProto.INT64 if operator in ("NonMaxSuppression", "NonZero") else TensorProto.FLOAT
    made = helper.make_graph(
        [helper.make_node(operator, names, ["y"], **attributes)],
        "g",
        given,
        [helper.make_tensor_value_info("y", kind, None)],
        [numpy_helper.from_array(values, name) for name, values in constants.items() if values.size],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    graph, weights = from_onnx(onnx.load_from_string(model.SerializeToString()))
    return execute(graph, weights, inputs)["y"], session.run(None, inputs)[0]


@pytest.mark.parametrize("size", [(14, 27), (3, 4), (7, 1), (10, 9)])
@pytest.mark.parametrize("where", ["half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel"])
@pytest.mark.parametrize(
    "attributes",
    [
        {"mode": "linear"},
        {"mode": "cubic"},
        {"mode": "cubic", "cubic_coeff_a": -0.5, "exclude_outside": 1},
        *({"mode": "nearest", "nearest_mode": n} for n in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")),
    ],
    ids=str,
)
def test_resizing(attributes: dict[str, Any], where: str, size: tuple[int, int]) -> None:
    sizes = np.array([*IMAGE.shape[:2], *size])
    constants = {"roi": np.zeros(0, np.float32), "scales": np.zeros(0, np.float32), "sizes": sizes}
    found, wanted = both(
        "Resize", {"x": IMAGE}, constants, coordinate_transformation_mode=where, opset=18, **attributes
    )
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(3, 9), (8, 4), (1, 2)])
def test_resizing_as_torch_does(mode: str, corners: bool, size: tuple[int, int]) -> None:
    class Resized(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return functional.interpolate(x, size, mode=mode, align_corners=corners)

    found = execute(from_torch(Resized(), IMAGE.shape), {}, {"x": IMAGE})
    wanted = Resized()(torch.from_numpy(IMAGE))
    np.testing.assert_allclose(next(iter(found.values())), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("corners", [0, 1])
@pytest.mark.parametrize("outside", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
def test_grids(mode: str, outside: str, corners: int) -> None:
    options = {"mode": mode, "padding_mode": outside, "align_corners": corners}
    found, wanted = both("GridSample", {"x": IMAGE, "grid": GRID}, {}, **options)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    named = {"linear": "bilinear", "cubic": "bicubic"}.get(mode, mode)

    class Sampled(nn.Module):
        def forward(self, x: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
            return functional.grid_sample(x, grid, named, outside, align_corners=bool(corners))

    ours = execute(from_torch(Sampled(), IMAGE.shape, GRID.shape), {}, {"x": IMAGE, "grid": GRID})
    theirs = Sampled()(torch.from_numpy(IMAGE), torch.from_numpy(GRID))
    np.testing.assert_allclose(next(iter(ours.values())), theirs, rtol=1e-4, atol=1e-5)


BOXES = np.array([[0, 0, 30, 20], [4.5, 3, 9, 17], [-6, -2, 40, 50], [7, 7, 7.1, 7.2]], np.float32)
OF_IMAGE = np.array([0, 1, 1, 0])


@pytest.mark.parametrize("samples", [0, 1, 3])
@pytest.mark.parametrize("moved", ["half_pixel", "output_half_pixel"])
@pytest.mark.parametrize("mode", ["avg", "max"])
def test_regions(mode: str, moved: str, samples: int) -> None:
    options = {"output_height": 3, "output_width": 2, "sampling_ratio": samples, "spatial_scale": 0.3, "mode": mode}
    inputs = {"x": IMAGE, "rois": BOXES, "images": OF_IMAGE}
    found, wanted = both("RoiAlign", inputs, {}, coordinate_transformation_mode=moved, **options)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("aligned", [0, 1])
def test_samples_of_regions(aligned: int) -> None:
    """Their means are what ONNX Runtime's regions are."""
    moved = "half_pixel" if aligned else "output_half_pixel"
    options = {"output_height": 3, "output_width": 4, "sampling_ratio": 2, "spatial_scale": 0.3}
    inputs = {"x": IMAGE, "rois": BOXES, "images": OF_IMAGE}
    wanted = both("RoiAlign", inputs, {}, coordinate_transformation_mode=moved, **options)[1]
    text = (
        "graph g\ninput x float32[2,3,7,9]\ninput boxes float32[4,5]\n"
        f'y = host(x, boxes, what="roi_align", shape=[4,3,3,2,4,2], how="region_samples 0.3 {aligned}") as float32\n'
        "output y\n"
    )
    boxes = np.concatenate([OF_IMAGE[:, None], BOXES], 1).astype(np.float32)
    found = execute(parse_graph(text), {}, {"x": IMAGE, "boxes": boxes})["y"]
    np.testing.assert_allclose(found.mean((3, 5)), wanted, rtol=1e-4, atol=1e-5)


def some_boxes(seed: int, number: int) -> Array:
    generator = np.random.default_rng(seed)
    corner = generator.uniform(0, 6, (2, number, 2))
    return np.concatenate([corner, corner + generator.uniform(1, 4, corner.shape)], -1).astype(np.float32)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("most", [2, 30])
@pytest.mark.parametrize("centred", [0, 1])
def test_suppression(seed: int, most: int, centred: int) -> None:
    """Rows behind those that ONNX Runtime finds are -1."""
    boxes = some_boxes(seed, 12)
    scores = np.random.default_rng(seed).uniform(0, 1, (2, 3, 12)).astype(np.float32).round(1)
    constants = {
        "most": np.array([most]),
        "share": np.array([0.3], np.float32),
        "least": np.array([0.2], np.float32),
    }
    inputs = {"boxes": boxes, "scores": scores}
    found, wanted = both("NonMaxSuppression", inputs, constants, center_point_box=centred)
    np.testing.assert_array_equal(found[: len(wanted)], wanted)
    assert found.shape == (6 * min(most, 12), 3)
    assert (found[len(wanted) :] == -1).all()


def test_suppression_without_classes() -> None:
    """The same boxes as with one class."""
    boxes, scores = some_boxes(5, 9)[0], np.linspace(0, 1, 9, dtype=np.float32)[::-1].copy()
    text = (
        "graph g\ninput boxes float32[9,4]\ninput scores float32[9]\n"
        'y = host(boxes, scores, what="nms", shape=[9], how="nms 0.25") as int64\noutput y\n'
    )
    found = execute(parse_graph(text), {}, {"boxes": boxes, "scores": scores})["y"]
    constants = {"most": np.array([9]), "share": np.array([0.25], np.float32)}
    wanted = both("NonMaxSuppression", {"boxes": boxes[None], "scores": scores[None, None]}, constants)[1][:, 2]
    np.testing.assert_array_equal(found[: len(wanted)], wanted)
    assert (found[len(wanted) :] == -1).all()


@pytest.mark.parametrize("shape", [(5,), (3, 4)])
def test_places_that_are_not_zero(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).integers(0, 2, shape).astype(np.float32)
    found, wanted = both("NonZero", {"x": x}, {})
    np.testing.assert_array_equal(found[:, : wanted.shape[1]], wanted)
    assert (found[:, wanted.shape[1] :] == -1).all()

    class Places(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.nonzero()

    ours = next(iter(execute(from_torch(Places(), shape), {}, {"x": x}).values()))
    np.testing.assert_array_equal(ours, found.T)


def test_boxes_that_do_not_fit_together() -> None:
    text = (
        "graph g\ninput boxes float32[9,4]\ninput scores float32[9]\n"
        'y = host(boxes, scores, what="nms", shape=[4], how="nms 0.25") as int64\noutput y\n'
    )
    boxes = np.arange(36, dtype=np.float32).reshape(9, 4) * 100
    with pytest.raises(NetworkError, match="what y takes must fit together, which it does not"):
        execute(parse_graph(text), {}, {"boxes": boxes, "scores": np.ones(9, np.float32)})


TESTED = {"linear", "cubic", "pick", "grid", "regions", "region_samples", "nms_by_class", "nms", "nonzero"}


def test_every_rule_is_here() -> None:
    assert SAMPLING.keys() == TESTED
