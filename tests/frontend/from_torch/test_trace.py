"""What a trace makes of modules: names, weights, inputs, outputs, constants; and that it leaves all as it was."""

from __future__ import annotations

import threading
from collections import OrderedDict, namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from torch import nn  # noqa: E402

from tilework.cost.count import count  # noqa: E402
from tilework.frontend.from_torch import from_torch, trace_blocks  # noqa: E402
from tilework.network.graph import Graph  # noqa: E402


class Of(nn.Module):
    """A module whose forward is a function of itself and the inputs."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function
        self.scale = nn.Parameter(torch.ones(4))
        self.frozen = nn.Parameter(torch.ones(4), requires_grad=False)
        self.register_buffer("offset", torch.zeros(4))

    def forward(self, *inputs: Any, **keywords: Any) -> Any:
        return self.function(self, *inputs, **keywords)


def of(function: Callable[..., Any], *inputs: Any, **keywords: Any) -> Graph:
    return from_torch(Of(function), *(inputs or ((2, 4),)), **keywords)


def labels(graph: Graph) -> list[str]:
    return [node.label for node in graph.nodes]


def names(graph: Graph) -> list[tuple[str, str]]:
    return [(node.name, node.module) for node in graph.nodes]


def test_a_network_as_text() -> None:
    layers = OrderedDict(fc1=nn.Linear(4, 8), act=nn.ReLU(), fc2=nn.Linear(8, 3))
    assert str(from_torch(nn.Sequential(layers), (2, 4), name="mlp")) == (
        "graph mlp\n"
        "input input float32[2,4]\n"
        "parameter fc1.weight float32[8,4]\n"
        "parameter fc1.bias float32[8]\n"
        "parameter fc2.weight float32[3,8]\n"
        "parameter fc2.bias float32[3]\n"
        "fc1 = linear(input, fc1.weight, fc1.bias)\n"
        "act = relu(fc1)\n"
        "fc2 = linear(act, fc2.weight, fc2.bias)\n"
        "output fc2\n"
    )


def test_a_node_is_called_like_its_module_or_like_its_operation() -> None:
    block = nn.Sequential(OrderedDict(fc=nn.Linear(4, 4), twice=Of(lambda m, x: x * m.scale + m.offset)))
    assert names(from_torch(nn.Sequential(block), (2, 4))) == [
        ("0.fc", "0"),
        ("0.twice.mul", "0.twice"),
        ("0.twice.add", "0.twice"),
    ]
    assert names(from_torch(nn.Linear(4, 4), (2, 4))) == [("linear", "")]
    assert names(of(lambda m, x: torch.relu(x + x) + x)) == [("add", ""), ("relu", ""), ("add_1", "")]


def test_a_module_called_twice_has_numbered_nodes_and_one_set_of_weights() -> None:
    shared = nn.Linear(4, 4)
    graph = from_torch(nn.Sequential(shared, nn.ReLU(), shared), (2, 4))
    assert names(graph) == [("0", ""), ("1", ""), ("0_1", "")]
    assert [node.inputs[1:] for node in graph.nodes if node.operation == "linear"] == [("0.weight", "0.bias")] * 2
    counted = count(graph)
    assert counted.total.parameters == 20
    assert [row.parameters for row in counted.rows] == [20, 0, 0]


def test_a_tied_weight_has_its_first_name() -> None:
    embedding, head = nn.Embedding(10, 4), nn.Linear(4, 10, bias=False)
    head.weight = embedding.weight
    graph = from_torch(nn.Sequential(embedding, head), torch.zeros(2, 3, dtype=torch.int64))
    assert [tensor.name for tensor in graph.weights] == ["0.weight"]
    assert count(graph).total.parameters == 40


def test_parameters_are_counted_as_torch_does() -> None:
    module = nn.Sequential(Of(lambda m, x: x + m.scale), nn.BatchNorm1d(4))
    total = count(trace_blocks(module, (2, 4))).total
    assert total.parameters == sum(p.numel() for p in module.parameters()) == 16
    assert total.trainable_parameters == sum(p.numel() for p in module.parameters() if p.requires_grad) == 12
    assert total.buffers == sum(b.numel() for b in module.buffers()) == 13
    roles = {tensor.name: tensor.role for tensor in from_torch(module, (2, 4)).weights}
    assert (roles["0.scale"], roles["0.frozen"]) == ("parameter", "frozen")
    assert roles["0.offset"] == roles["1.running_mean"] == "buffer"


@dataclass
class Outputs:
    first: Any
    others: Any


Pair = namedtuple("Pair", "a b")


@pytest.mark.parametrize(
    ("function", "outputs"),
    [
        (lambda m, x: x, ("input0",)),
        (lambda m, x: m.scale, ("scale",)),
        (lambda m, x: (x + 1, {"b": [x * 2]}), ("add", "mul")),
        (lambda m, x: Outputs(x + 1, (x * 2, "text")), ("add", "mul")),
        (lambda m, x: Pair(x * 2, x + 1), ("mul", "add")),
        (lambda m, x: (x + 1, x), ("add", "input0")),
        (lambda m, x: setattr(m, "kept", x * 2), ("mul",)),
    ],
)
def test_all_tensors_that_are_given_back_are_outputs(function: Callable[..., Any], outputs: tuple[str, ...]) -> None:
    assert of(function).outputs == outputs


def test_inputs_may_be_tensors_shapes_containers_and_anything_else() -> None:
    def forward(m: Any, pair: Any, *, options: Any, factor: float) -> Any:
        return pair[0] + pair[1][0] * options["a"] * factor

    tensor = torch.zeros(2, 4, device="meta", dtype=torch.float64)
    graph = from_torch(Of(forward), [(2, 4), (tensor,)], options={"a": (1, 4)}, factor=2.5)
    assert [(t.name, t.shape, t.dtype) for t in graph.inputs] == [
        ("input0.0", (2, 4), "float32"),
        ("input0.1.0", (2, 4), "float64"),
        ("options.a", (1, 4), "float32"),
    ]
    assert from_torch(nn.Linear(4, 4).bfloat16(), torch.zeros(2, 4, dtype=torch.bfloat16)).tensors["linear"].dtype == (
        "bfloat16"
    )


def test_one_tensor_given_twice_is_one_input() -> None:
    x = torch.zeros(2, 4)
    assert [tensor.name for tensor in of(lambda m, a, b: a + b, x, x).inputs] == ["input0"]


def test_values_made_from_numbers_are_known() -> None:
    def forward(m: Any, x: Any) -> Any:
        rows = torch.arange(x.shape[0], device=x.device)
        mask = rows[:, None] >= torch.tensor([1, 5], device=x.device)
        if mask.any() and not mask.all() and x.new_tensor([2.0]).item() == 2:
            x = x[: int(rows.sum())]
        return x[[True] * x.shape[0]], x[rows[: x.shape[0]] >= 1]

    graph = of(forward, (3, 4))
    assert [graph.tensors[name].shape for name in graph.outputs] == [(3, 4), (2, 4)]


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (lambda m, x: (x > 0).nonzero(), (8, 2)),
        (lambda m, x: x[x > 0], (8,)),
        (lambda m, x: x.masked_select(x > 0), (8,)),
        (lambda m, x: torch.unique(x), (8,)),
        (lambda m, x: torch.unique(x, dim=0), (2, 4)),
        (lambda m, x: torch.unique_consecutive(x), (8,)),
        (lambda m, x: torch.unique_consecutive(x, dim=1), (2, 4)),
        (lambda m, x: x[:, (x > 0)[0]], (2, 4)),
    ],
)
def test_shapes_that_depend_on_values_have_their_bound(function: Callable[..., Any], shape: tuple[int, ...]) -> None:
    graph = of(function)
    assert graph.tensors[graph.outputs[-1]].shape == shape


def test_attention_and_recurrent_layers_come_in_their_parts() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    assert labels(from_torch(layer, (1, 3, 8))).count("matmul") == 2
    total = count(from_torch(nn.LSTM(4, 5, bidirectional=True), (3, 2, 4))).total
    assert total.macs == 2 * 3 * 2 * (4 * 20 + 5 * 20)
    assert "unknown" not in total.other_operations


def state(module: nn.Module) -> Any:
    """All that a module and the modules in it hold, by identity where it can't be compared."""
    held = []
    for path, part in module.named_modules():
        for place in (part.__dict__, part._parameters, part._buffers, part._modules):
            content = [(key, list(v) if isinstance(v, list | dict) else v) for key, v in place.items()]
            held.append((path, [(key, id(v) if not isinstance(v, list) else v) for key, v in content]))
    return held


class Forgetful(nn.Module):
    """Changes itself whenever it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.calls, self.seen, self.named = 0, [1], {"x": 1}
        self.register_buffer("cache", torch.zeros(2))
        self.inner = nn.Linear(4, 4)

    def forward(self, x: Any) -> Any:
        self.calls += 1
        self.seen.append(x)
        self.named["y"] = x
        self.cache = x.sum(0)
        self.register_buffer("more", x)
        self.inner.extra = x
        return self.inner(x)


@pytest.mark.parametrize("reuse", [True, False])
def test_a_module_is_left_as_it_was(reuse: bool) -> None:
    module = nn.Sequential(Forgetful(), nn.Dropout(), nn.BatchNorm1d(4).eval(), nn.Linear(4, 4))
    called: list[str] = []
    module[3].register_forward_hook(lambda *_: called.append("hook"))
    module[3].weight.grad = torch.ones(4, 4)
    before, gradient = state(module), module[3].weight.grad
    methods = {name: getattr(nn.Module, name) for name in ("__call__", "_call_impl", "__getattr__", "__setattr__")}
    own = set(nn.Linear.__dict__)
    from_torch(module, (2, 4), reuse=reuse)
    assert state(module) == before
    assert module[3].weight.grad is gradient
    assert [part.training for part in module] == [True, True, False, True]
    assert called == ["hook"]
    assert {name: getattr(nn.Module, name) for name in methods} == methods
    assert set(nn.Linear.__dict__) == own
    assert module(torch.zeros(2, 4)).shape == (2, 4)
    assert isinstance(torch.tensor(1.0, device="meta"), torch.Tensor)
    assert torch.tensor(1.0, device="meta").device.type == "meta"
    assert torch.backends.mha.get_fastpath_enabled()
    assert torch.is_grad_enabled()


def test_inputs_are_left_as_they_were() -> None:
    x = torch.ones(2, 4)
    given = {"x": [x]}
    of(lambda m, g: g["x"][0].add_(1), given)
    assert given == {"x": [x]}
    assert x.sum() == 8


def test_other_threads_run_their_modules_meanwhile() -> None:
    other, results = nn.Linear(4, 4), []

    def forward(m: Any, x: Any) -> Any:
        thread = threading.Thread(target=lambda: results.append(other(torch.ones(2, 4))))
        thread.start()
        thread.join()
        return x + 1

    assert labels(of(forward)) == ["add"]
    assert results[0].device.type == "cpu"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the compiler's own
def test_wrapped_modules() -> None:
    inner = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    assert labels(from_torch(nn.DataParallel(inner), (2, 4))) == ["linear", "relu"]
    assert str(from_torch(torch.compile(inner), (2, 4))) == str(from_torch(inner, (2, 4)))
    inner.compile()
    assert labels(from_torch(inner, (2, 4))) == ["linear", "relu"]
    normed = from_torch(nn.utils.parametrizations.weight_norm(nn.Linear(4, 5)), (2, 4))
    assert (count(normed).total.parameters, count(normed).total.macs) == (4 * 5 + 5 + 5, 40)
    assert count(from_torch(nn.utils.parametrizations.spectral_norm(nn.Linear(4, 5)), (2, 4))).total.parameters == 25


def test_modules_may_lie_deep() -> None:
    module: nn.Module = nn.ReLU()
    for _ in range(200):
        module = nn.Sequential(module)
    assert labels(from_torch(module, (2, 4))) == ["relu"]


def test_empty_tensors_count_nothing() -> None:
    graph = of(lambda m, x: torch.cat([torch.empty(0, 4), x]) + m.scale)
    assert labels(graph) == ["add"]


def test_writing_in_place_may_change_the_shape_and_several_tensors() -> None:
    def forward(m: Any, x: Any) -> Any:
        row = torch.arange(4).unsqueeze_(0)
        out = torch.empty(0)
        torch.add(x, row, out=out)
        tensors = [x * 2, x * 3]
        torch._foreach_add_(tensors, 1.0)
        return row.t_() * 1, out.unsqueeze_(0), tensors

    graph = of(forward)
    assert [graph.tensors[name].shape for name in graph.outputs] == [(4, 1), (1, 2, 4), (2, 4), (2, 4)]


def test_what_is_kept_from_trace_to_trace_knows_the_default_dtype() -> None:
    dtypes = []
    for dtype in (torch.float32, torch.float64, torch.float32):
        torch.set_default_dtype(dtype)
        try:
            graph = of(lambda m, x: torch.linspace(0, 1, 7) * 2)
        finally:
            torch.set_default_dtype(torch.float32)
        dtypes.append(graph.tensors[graph.outputs[0]].dtype)
    assert dtypes == ["float32", "float64", "float32"]
