"""What rows make of weights, pending transpositions and operators of other libraries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from torch.nn import functional  # noqa: E402

from tilework.cost.count import count  # noqa: E402
from tilework.frontend.from_torch import from_torch  # noqa: E402
from tilework.frontend.from_torch.assemble import assemble  # noqa: E402
from tilework.frontend.from_torch.axes import moved  # noqa: E402
from tilework.frontend.from_torch.calls import Call, Frame, Value, values_in  # noqa: E402
from tilework.network.graph import INPUT, PARAMETER, Graph, Tensor  # noqa: E402

Module = torch.nn.Module


def network(
    function: Callable[..., Any], *shapes: tuple[int, ...], weights: dict[str, tuple[int, ...]] | None = None
) -> Graph:
    """The graph of a function of a module with these weights, and of inputs with these shapes."""

    class Of(Module):
        def forward(self, *inputs: Any) -> Any:
            return function(self, *inputs)

    module = Of()
    for name, shape in (weights or {}).items():
        module.register_parameter(name, torch.nn.Parameter(torch.empty(shape, device="meta")))
    return from_torch(module, *shapes)


def operations(graph: Graph) -> list[str]:
    """What moves or computes something, in order; aliases do neither."""
    return [node.operation for node in graph.nodes if not graph.expansion(node).is_alias]


def test_a_linear_layer_is_one_node_with_its_weights() -> None:
    graph = from_torch(torch.nn.Linear(4, 5, device="meta"), (2, 3, 4))
    (node,) = (node for node in graph.nodes if node.operation == "linear")
    assert [tensor.name for tensor in graph.weights_of(node)] == ["weight", "bias"]
    assert operations(graph) == ["linear"]
    total = count(graph).total
    assert (total.macs, total.parameters, total.neurons) == (2 * 3 * 4 * 5, 25, 30)


def test_a_weight_stored_the_other_way_is_a_product_and_a_sum() -> None:
    """As GPT-2 has it: addmm(bias, x, weight)."""
    weights = {"weight": (4, 5), "bias": (5,)}
    graph = network(lambda m, x: torch.addmm(m.bias, x, m.weight), (3, 4), weights=weights)
    assert operations(graph) == ["matmul", "add"]
    total = count(graph).total
    assert (total.macs, total.additions, total.parameters) == (60, 60, 25)


def test_products_read_transposed_matrices_where_they_lie() -> None:
    graph = network(lambda m, x, y: x.mT @ y.mT, (2, 3, 4), (2, 5, 3))
    (node,) = (node for node in graph.nodes if node.operation == "matmul")
    assert node.attributes == (("transpose_x", True), ("transpose_y", True))
    assert operations(graph) == ["matmul"]


def test_queries_keys_values_and_their_sums_are_transposed_once_each() -> None:
    def heads(m: Any, *inputs: Any) -> Any:
        q, k, v = (x.view(2, 6, 4, 8).transpose(1, 2) for x in inputs)
        return (q @ k.transpose(-1, -2) @ v).transpose(1, 2).reshape(2, 6, 32)

    assert Counter(operations(network(heads, *[(2, 6, 32)] * 3))) == {"transpose": 4, "matmul": 2}


def test_axes_of_size_one_change_place_without_moving_anything() -> None:
    assert operations(network(lambda m, x: x.permute(1, 0, 2).unsqueeze(-1).transpose(1, 3), (1, 5, 7))) == []


def test_a_copy_of_a_transposition_moves_data_once() -> None:
    assert operations(network(lambda m, x: x.t().contiguous().view(-1) + 1, (3, 5))) == ["transpose", "pointwise"]
    assert operations(network(lambda m, x: x.clone(), (3, 5))) == []


@st.composite
def reshaped(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """A shape, an order of its axes, and another shape of as many elements for what is ordered so."""
    base = tuple(draw(st.lists(st.sampled_from((1, 2, 3, 4, 6)), min_size=1, max_size=5)))
    order = tuple(draw(st.permutations(range(len(base)))))
    left, shape = prod(base), []
    while left > 1 and len(shape) < 5:
        size = draw(st.sampled_from([size for size in range(1, left + 1) if left % size == 0]))
        shape.append(size)
        left //= size
    return base, order, (*shape, left)


@given(reshaped())
def test_reshaping_a_transposition_gives_numpys_elements(case: tuple[Any, Any, Any]) -> None:
    base, order, shape = case
    x = np.arange(prod(base)).reshape(base)
    expected = x.transpose(order).reshape(shape)
    found = moved(base, order, shape)
    if found is not None:
        np.testing.assert_array_equal(x.reshape(found[0]).transpose(found[1]), expected)
    else:
        assert order != tuple(range(len(base)))


def test_values_that_are_no_numbers_and_complex_products_are_named() -> None:
    graph = network(lambda m, x: x.masked_fill(x > 1, float("nan")), (3,))
    assert [node.label for node in graph.nodes] == ["gt", "constant", "masked_fill"]
    graph = network(lambda m, x: torch.view_as_complex(x) * torch.view_as_complex(x), (3, 2))
    assert graph.nodes[-1].label == "complex_mul"
    assert count(graph).total.multiplications == 12
    graph = network(lambda m, x: torch.view_as_complex(x) / 3, (3, 2))
    assert count(graph).total.other_operations == {"division": 6}
    graph = network(lambda m, x: torch.mm(torch.view_as_complex(x), torch.view_as_complex(x)), (3, 3, 2))
    assert graph.nodes[-1].label == "aten.mm.default"
    assert count(graph).total.other_operations == {"unknown": 1}


def test_empty_tensors_leave_no_trace() -> None:
    graph = network(lambda m, x: torch.cat([x[:0] * 2, x, x.new_zeros(0, 4)]) + 1, (3, 4))
    assert operations(graph) == ["pointwise"]


def graph_of(operator: str, *arguments: Any, results: tuple[Value, ...], weights: tuple[int, ...] = ()) -> Graph:
    """The graph of one call; its Values are inputs, or weights where their numbers say so."""
    sources = {
        value.id: Tensor(f"in{-value.id}", value.shape, value.dtype, PARAMETER if value.id in weights else INPUT)
        for value in values_in(arguments)
    }
    frame = Frame("", True, [Call(operator, arguments, (), results)], results)
    return assemble("call", frame, sources, len(results)).graph()


def value(number: int, *shape: int, dtype: str = "float32") -> Value:
    return Value(number, shape, dtype)


def work(graph: Graph) -> dict[str, int]:
    total = count(graph).total
    sums = {"multiplication": total.multiplications, "addition": total.additions, **total.other_operations}
    return {kind: number for kind, number in sums.items() if number}


def test_boxes() -> None:
    """100 boxes: 10,000 overlaps; 7 boxes of 4 channels and 3·5 parts of 2·2 interpolated samples each."""
    graph = graph_of("torchvision.nms.default", value(-1, 100, 4), value(-2, 100), 0.5, results=(value(0, 100),))
    assert work(graph) == {"comparison": 70000, "addition": 40000, "multiplication": 10000, "division": 10000}
    arguments = (value(-1, 2, 4, 8, 8), value(-2, 7, 5), 1.0, 3, 5)
    parts = 7 * 4 * 3 * 5
    graph = graph_of("torchvision.roi_align.default", *arguments, 2, True, results=(value(0, 7, 4, 3, 5),))
    assert work(graph) == {"multiplication": parts * (4 * 4 + 1), "addition": parts * (4 * 3 + 3)}
    graph = graph_of("torchvision.roi_align.default", *arguments, -1, True, results=(value(0, 7, 4, 3, 5),))
    assert work(graph)["multiplication"] == parts * (6 * 4 + 1)  # ceil(8/3) by ceil(8/5) samples
    results = (value(0, 7, 4, 3, 5), value(1, 7, 4, 3, 5, dtype="int32"))
    graph = graph_of("torchvision.ps_roi_align.default", *arguments, 2, results=results)
    assert work(graph)["multiplication"] == parts * 17
    graph = graph_of("torchvision.roi_pool.default", *arguments, results=results)
    assert work(graph) == {"comparison": 7 * 4 * 8 * 8 - parts}
    graph = graph_of("torchvision.ps_roi_pool.default", *arguments, results=results)
    assert work(graph) == {"addition": 7 * 4 * 8 * 8 - parts, "division": parts}


def test_masks_and_keypoints() -> None:
    """7 masks of 28·28 in an image of 40·50, at 4 and 3 a pixel; 7·17 maps of 56·56, at 20 and 15, and searched."""
    masks, boxes = value(-1, 7, 1, 28, 28), value(-2, 7, 4)
    graph = graph_of(
        "torchvision.paste_masks_in_image.default", masks, boxes, (40, 50), results=(value(0, 7, 1, 40, 50),)
    )
    assert work(graph) == {"multiplication": 7 * 2000 * 4, "addition": 7 * 2000 * 3}
    results = (value(0, 7, 17, 3), value(1, 7, 17))
    graph = graph_of("torchvision.heatmaps_to_keypoints.default", value(-1, 7, 17, 56, 56), boxes, results=results)
    places = 7 * 17 * 56 * 56
    assert work(graph) == {"multiplication": places * 20, "addition": places * 15, "comparison": places}


def test_a_deformable_convolution() -> None:
    """2 images of 6 filters at 5·5 places, each a sum over 4 channels of 3·3 samples in 2 groups."""
    shapes = [(2, 4, 5, 5), (6, 2, 3, 3), (2, 36, 5, 5), (2, 18, 5, 5), (6,)]
    tensors = [value(-1 - place, *shape) for place, shape in enumerate(shapes)]
    numbers = (1, 1, 1, 1, 1, 1, 2, 2, True)
    graph = graph_of("torchvision.deform_conv2d.default", *tensors, *numbers, results=(value(0, 2, 6, 5, 5),))
    samples, outputs = 2 * 4 * 9 * 25, 2 * 6 * 25
    total = count(graph).total
    assert total.macs == outputs * 2 * 9
    assert total.multiplications == samples * 4 + samples + outputs * 18
    assert total.additions == samples * 3 + outputs * 17 + outputs


def test_rows_of_experts_meet_the_weights_of_one() -> None:
    x, weights, ends = value(-1, 6, 4), value(-2, 3, 4, 5), value(-3, 3, dtype="int32")
    graph = graph_of("aten._grouped_mm.default", x, weights, ends, results=(value(0, 6, 5),), weights=(-2,))
    assert [node.label for node in graph.nodes] == ["expert", "matmul"]
    total = count(graph).total
    assert (total.macs, total.parameters) == (6 * 4 * 5, 60)


def test_a_recurrent_network_of_modules_has_torchs_products() -> None:
    module = torch.nn.LSTM(5, 4, num_layers=2, bidirectional=True, device="meta")
    assert count(from_torch(module, (3, 2, 5))).total.macs == 3 * 2 * (2 * 16 * (5 + 4) + 2 * 16 * (8 + 4))


def test_attention_of_a_module_is_counted_whole() -> None:
    """Projections 4·32·32 for each of 2·6 places, scores and sums 6·6·32 for each of 2 sequences."""
    layer = torch.nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, device="meta")
    total = count(from_torch(layer, (2, 6, 32))).total
    assert total.macs == 12 * (4 * 32 * 32 + 2 * 32 * 64) + 2 * 2 * 6 * 6 * 32
    assert total.parameters == sum(p.numel() for p in layer.parameters())


def test_causal_scores_are_computed_and_counted() -> None:
    graph = network(lambda m, q: functional.scaled_dot_product_attention(q, q, q, is_causal=True), (1, 2, 6, 8))
    assert count(graph).total.macs == 2 * 2 * 6 * 6 * 8


@pytest.mark.parametrize(
    ("bounds", "numbers"), [((4,), [0, 1, 2, 3]), ((2, 5), [2, 3, 4]), ((9, 0, -4), [9, 5, 1]), ((0.5, 3), None)]
)
def test_sequences_of_whole_numbers_are_kept(bounds: tuple[float, ...], numbers: list[int] | None) -> None:
    graph = network(lambda _, x: x + torch.arange(*bounds, device="meta"), (len(numbers or [1, 1, 1]),))
    (node,) = (node for node in graph.nodes if node.label == "constant")
    if numbers is None:
        assert "sequence" not in dict(node.attributes)
    else:
        first, step = dict(node.attributes)["sequence"]
        assert [first + step * place for place in range(len(numbers))] == numbers
