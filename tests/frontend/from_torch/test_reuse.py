"""Repeated blocks are run once where that can't be told from running each, and only there."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from tilework.cost.count import count  # noqa: E402
from tilework.cost.record import total  # noqa: E402
from tilework.frontend.from_torch import trace_blocks  # noqa: E402
from tilework.network.blocks import Block, Copy  # noqa: E402


def copies(block: Block) -> list[str]:
    """The paths of the module calls that were not run, outermost first."""
    found = []
    for part in block.parts:
        if isinstance(part, Copy):
            found.append(part.path)
        elif isinstance(part, Block):
            found += copies(part)
    return found


def check(module: nn.Module, *inputs: Any, **keywords: Any) -> list[str]:
    """The network is the same with and without reuse; returns what wasn't run with it."""
    blocks = trace_blocks(module, *inputs, **keywords)
    plain = trace_blocks(module, *inputs, reuse=False, **keywords)
    assert str(blocks.graph()) == str(plain.graph())
    assert copies(plain.root) == []
    counted = count(blocks)
    assert counted.total == total(counted.rows) == count(plain.graph()).total
    return copies(blocks.root)


class Layer(nn.Module):
    """Does what its function says with its linear layer and whatever else it has been given."""

    def __init__(self, function: Callable[..., Any], **held: Any) -> None:
        super().__init__()
        self.function = function
        self.linear = nn.Linear(4, 4)
        for name, value in held.items():
            setattr(self, name, value)

    def forward(self, x: Any, *others: Any, **keywords: Any) -> Any:
        return self.function(self, x, *others, **keywords)


class Stack(nn.Module):
    """Layers one after another; `hand` says what each gets."""

    def __init__(self, *layers: nn.Module, hand: Callable[..., Any] = lambda layer, x: layer(x)) -> None:
        super().__init__()
        self.layers, self.hand = nn.ModuleList(layers), hand

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = self.hand(layer, x)
        return x


def plain(m: Any, x: Any) -> Any:
    return torch.relu(m.linear(x))


def stack(function: Callable[..., Any], *held: dict[str, Any], **options: Any) -> list[str]:
    return check(Stack(*(Layer(function, **one) for one in held), **options), (2, 4))


def test_a_repeated_layer_is_run_once() -> None:
    assert stack(plain, {}, {}, {}) == ["layers.1", "layers.2"]


def test_what_is_not_read_may_differ() -> None:
    assert stack(plain, {"layer_idx": 0, "name": "a"}, {"layer_idx": 1, "name": "b"}) == ["layers.1"]


def test_the_outermost_match_is_taken() -> None:
    blocks = (nn.Sequential(Layer(plain), Layer(plain)) for _ in range(3))
    assert check(Stack(*blocks), (2, 4)) == ["layers.0.1", "layers.1", "layers.2"]


def double(x: Any) -> Any:
    return x * 2


def triple(x: Any) -> Any:
    return x * 3


class Config:
    """An object that is no more than its attributes."""

    def __init__(self, **held: Any) -> None:
        self.__dict__.update(held)


SHARED = SimpleNamespace(factor=2)

ALIKE = [
    (lambda m, x: m.linear(x) * m.factor, {"factor": 1e-6 * 1e6}, {"factor": 1e-3 * 1e3}),
    (lambda m, x: m.act(m.linear(x)), {"act": torch.relu}, {"act": torch.relu}),
    (lambda m, x: m.linear(x) * m.config.factor, {"config": SHARED}, {"config": SHARED}),
    (lambda m, x: m.linear(x) * m.own.factor, *({"own": Config(factor=2, more=[1, {"a": c}])} for c in (2, 2))),
    (lambda m, x: x.reshape(m.shape) * m.named["a"][1], *({"shape": [2, 4], "named": {"a": (1, c)}} for c in (2, 2))),
    (lambda m, x: m.acts[0](m.linear(x)), {"acts": nn.ModuleList([nn.ReLU()])}, {"acts": nn.ModuleList([nn.ReLU()])}),
    (lambda m, x: x if hasattr(m, "skip") else m.linear(x), {}, {}),
    (lambda m, x: x + m.extra, {"extra": nn.Parameter(torch.ones(4))}, {"extra": nn.Parameter(torch.zeros(4))}),
    (lambda m, x: x * m.extra.sum().item(), {"extra": torch.ones(4)}, {"extra": torch.ones(4)}),
]
DIFFERENT = [
    (lambda m, x: m.linear(x) * m.factor, {"factor": 2.0}, {"factor": 3.0}),
    (lambda m, x: m.linear(x) * m.factor, {"factor": 1}, {"factor": True}),
    (lambda m, x: m.linear(x) if m.factor else x, {"factor": None}, {"factor": 1}),
    (lambda m, x: m.act(m.linear(x)), {"act": double}, {"act": triple}),
    (lambda m, x: m.act(m.linear(x)), {"act": nn.ReLU()}, {"act": nn.Tanh()}),
    (lambda m, x: m.own.factor * x, {"own": Config(factor=2)}, {"own": Config(factor=3)}),
    (lambda m, x: m.own.factor * x, {"own": Config(factor=2, more=[1])}, {"own": Config(factor=2, more=[2])}),
    (lambda m, x: x * m.factors[1], {"factors": [1, 2]}, {"factors": [1, 3]}),
    (lambda m, x: x * sum(m.factors.values()), {"factors": {"a": 1}}, {"factors": {"a": 1, "b": 2}}),
    (lambda m, x: x if hasattr(m, "skip") else m.linear(x), {}, {"skip": 1}),
    (lambda m, x: x if hasattr(m, "skip") else m.linear(x), {"skip": 1}, {}),
    (lambda m, x: x + m.extra, {"extra": nn.Parameter(torch.ones(4))}, {"extra": nn.Parameter(torch.ones(2, 4))}),
    (lambda m, x: x + m.extra, {"extra": nn.Parameter(torch.ones(4))}, {"extra": torch.ones(4)}),
    (
        lambda m, x: x * 2 if m.extra.requires_grad else x,
        *({"extra": nn.Parameter(torch.ones(4), b)} for b in (True, False)),
    ),
    (lambda m, x: x * m.extra.sum().item(), {"extra": torch.ones(4)}, {"extra": torch.zeros(4)}),
    (lambda m, x: functional.linear(x, m.linear.weight, m.linear.bias), {"linear": nn.Linear(4, 4, bias=False)}, {}),
    (lambda m, x: functional.linear(x, m.linear.weight, m.linear.bias), {}, {"linear": nn.Linear(4, 4, bias=False)}),
    (lambda m, x: m.forwards[0](x), {"forwards": [double]}, {"forwards": [triple]}),
    (lambda m, x: x * len(vars(m)), {}, {"one_more": 1}),
    (lambda m, x: x * len(list(m.children())), {}, {"one_more": nn.ReLU()}),
]


@pytest.mark.parametrize("case", ALIKE, ids=range(len(ALIKE)))
def test_layers_that_hold_the_same_are_alike(case: Any) -> None:
    assert "layers.1" in stack(*case)


@pytest.mark.parametrize("case", DIFFERENT, ids=range(len(DIFFERENT)))
def test_whatever_a_forward_reads_may_tell_layers_apart(case: Any) -> None:
    assert "layers.1" not in stack(*case)


def test_a_forward_of_its_own_tells_a_layer_apart() -> None:
    network = Stack(Layer(plain), Layer(plain), Layer(plain))
    network.layers[1].forward = double
    assert check(network, (2, 4)) == ["layers.2"]


def test_methods_count_as_what_they_are_bound_to() -> None:
    class Bound(nn.Module):
        def __init__(self, factor: int) -> None:
            super().__init__()
            self.factor = factor
            self.run = self.times

        def times(self, x: Any) -> Any:
            return x * self.factor

        def forward(self, x: Any) -> Any:
            return self.run(x)

    assert check(Stack(Bound(2), Bound(2), Bound(3)), (2, 4)) == ["layers.1"]


def test_a_layer_that_counts_its_calls_is_always_run() -> None:
    calls: list[Any] = []
    state = SimpleNamespace(factor=1)

    def on_module(m: Any, x: Any) -> Any:
        m.calls += 1
        return x * m.calls

    def on_object(m: Any, x: Any) -> Any:
        m.state.factor += 1
        return x * m.state.factor

    def on_list(m: Any, x: Any) -> Any:
        m.seen.append(x)
        return x * len(m.seen)

    assert stack(on_module, {"calls": 0}, {"calls": 0}) == []
    assert stack(on_object, {"state": state}, {"state": state}) == []
    assert stack(on_list, {"seen": calls}, {"seen": calls}) == []
    assert (calls, state.factor) == ([], 1)


def test_a_hook_is_told_of_every_call() -> None:
    called: list[str] = []
    network = Stack(Layer(plain), Layer(plain), Layer(plain))
    network.layers[2].linear.register_forward_hook(lambda *_: called.append("linear"))
    network.layers[1].register_forward_pre_hook(lambda *_: called.append("layer"))
    assert check(network, (2, 4)) == ["layers.1.linear"]
    assert called == ["layer", "linear"] * 2


def test_arguments_tell_calls_apart() -> None:
    def attend(m: Any, q: Any, k: Any, factor: Any = 1, mask: Any = None) -> Any:
        x = m.linear(q) * factor if q is k else q + k
        return x if mask is None else x * mask

    layers = [Layer(attend) for _ in range(10)]
    mask, other = torch.ones(4), torch.zeros(4)
    calls = [
        *(lambda m, x: m(x, x), lambda m, x: m(x, x * 1), lambda m, x: m(x, x, 1.0), lambda m, x: m(x, x, factor=1)),
        *(lambda m, x: m(x, x, mask=mask), lambda m, x: m(x, x, mask=other), lambda m, x: m(x.t().reshape(2, 4), x)),
        *(lambda m, x: m(x.t().contiguous().t(), x), lambda m, x: m(x, m.linear.weight[:2]), lambda m, x: m(x, x)),
    ]
    hands = iter(calls * 2)
    network = Stack(*layers, hand=lambda layer, x: next(hands)(layer, x).contiguous())
    assert [path for path in check(network, (2, 4)) if "linear" not in path] == ["layers.6", "layers.8", "layers.9"]


def test_writing_to_an_argument_is_never_skipped() -> None:
    assert stack(lambda m, x: m.linear(x.mul_(2)), {}, {}) == ["layers.1.linear"]
    assert "layers.1" in stack(lambda m, x: m.linear(x).mul_(2), {}, {})


def test_results_in_containers_arguments_and_weights() -> None:
    def forward(m: Any, x: Any) -> Any:
        return {"x": [m.linear(x), (x, None, 3)], "weight": m.linear.weight}

    def hand(layer: Any, x: Any) -> Any:
        given = layer(x)
        return given["x"][0] + given["x"][1][0] @ given["weight"]

    assert stack(forward, {}, {}, {}, hand=hand) == ["layers.1", "layers.2"]


def test_pieces_of_one_tensor_are_not_copied() -> None:
    """Were they, writing to one would no longer show in the other."""
    hand = lambda layer, x: (lambda whole, part: part.add_(1) + whole[:, :2])(*layer(x)).repeat(1, 2)  # noqa: E731
    assert stack(lambda m, x: (y := m.linear(x), y[:, :2]), {}, {}, hand=hand) == ["layers.1.linear"]


def test_one_module_called_many_times() -> None:
    layer = Layer(plain)
    assert check(Stack(layer, layer, layer), (2, 4)) == ["layers.0"] * 2


def test_weights_tied_within_a_layer_and_across_layers() -> None:
    tied = Layer(lambda m, x: m.other(m.linear(x)), other=nn.Linear(4, 4))
    tied.other.weight = tied.linear.weight
    untied = Layer(tied.function, other=nn.Linear(4, 4))
    third = Layer(tied.function, other=nn.Linear(4, 4))
    third.other.weight = untied.linear.weight
    check(Stack(tied, untied, third), (2, 4))
    shared = nn.Linear(4, 4)
    assert "layers.1" not in check(Stack(Layer(plain, linear=shared), Layer(plain, linear=shared)), (2, 4))


def test_a_setting_of_torch_tells_calls_apart() -> None:
    def hand(layer: Any, x: Any) -> Any:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=layer.cast):
            return layer(x).float()

    held = [{"cast": False}, {"cast": True}, {"cast": False}]
    assert stack(lambda m, x: x @ m.linear.weight, *held, hand=hand) == ["layers.2"]


BUILD: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: Layer(plain),
    "no bias": lambda: Layer(plain, linear=nn.Linear(4, 4, bias=False)),
    "factor 2": lambda: Layer(lambda m, x: x * m.factor, factor=2),
    "factor 3": lambda: Layer(lambda m, x: x * m.factor, factor=3),
    "norm": lambda: nn.Sequential(nn.LayerNorm(4), nn.GELU()),
    "in place": lambda: nn.Sequential(nn.Linear(4, 4), nn.ReLU(inplace=True)),
    "transposed": lambda: Layer(lambda m, x: (m.linear(x).transpose(0, 1) @ x).transpose(0, 1)[:2]),
    "dropout": lambda: nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 4)),
    "nested": lambda: nn.Sequential(Layer(plain), nn.Sequential(Layer(plain), nn.Linear(4, 4))),
    "constants": lambda: Layer(lambda m, x: x * torch.arange(4) + torch.tensor([1.0, 2.0, 3.0, 4.0])),
}


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(sorted(BUILD)), min_size=1, max_size=8), st.integers(0, 3))
def test_random_stacks(kinds: list[str], shared: int) -> None:
    layers = [BUILD[kind]() for kind in kinds]
    check(Stack(*layers, *layers[:shared]), (2, 4))
