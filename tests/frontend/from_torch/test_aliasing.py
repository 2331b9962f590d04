"""Writing in place, through views and past them: the graph's values are torch's own."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from tilework.frontend.from_torch import from_torch  # noqa: E402
from tilework.network.execute import execute  # noqa: E402

Step = Callable[[list[Any], int, int], None]


def view(of: Callable[[Any, int], Any]) -> Step:
    def step(tensors: list[Any], which: int, number: int) -> None:
        tensors.append(of(tensors[which % len(tensors)], number))

    return step


def write(to: Callable[[Any, int], Any]) -> Step:
    def step(tensors: list[Any], which: int, number: int) -> None:
        to(tensors[which % len(tensors)], number)

    return step


def copy(tensors: list[Any], which: int, number: int) -> None:
    """One tensor becomes another of the same shape, if there is one."""
    target = tensors[which % len(tensors)]
    sources = [tensor for tensor in tensors if tensor.shape == target.shape]
    target.copy_(sources[number % len(sources)] * 2)


def assign(tensors: list[Any], which: int, number: int) -> None:
    target = tensors[which % len(tensors)]
    target[number % target.shape[0]] = float(number)


STEPS: dict[str, Step] = {
    "slice": view(lambda t, n: t[n % t.shape[0] :]),
    "last axis": view(lambda t, n: t[..., : 1 + n % t.shape[-1]]),
    "select": view(lambda t, n: t[n % t.shape[0]] if t.dim() > 1 else t[None]),
    "transpose": view(lambda t, n: t.transpose(0, -1)),
    "t": view(lambda t, n: t.t() if t.dim() == 2 else t),
    "permute": view(lambda t, n: t.permute(*range(1, t.dim()), 0)),
    "unsqueeze": view(lambda t, n: t.unsqueeze(n % (t.dim() + 1)) if t.dim() < 4 else t),
    "squeeze": view(lambda t, n: t.squeeze(0) if t.dim() > 1 else t),
    "view": view(lambda t, n: t.view(-1) if t.is_contiguous() else t.detach()),
    "split": view(lambda t, n: t.split(2)[n % len(t.split(2))]),
    "unbind": view(lambda t, n: t.unbind(0)[n % t.shape[0]] if t.dim() > 1 else t),
    "new": view(lambda t, n: t + n),
    "add_": write(lambda t, n: t.add_(n)),
    "mul_": write(lambda t, n: t.mul_(0.5)),
    "relu_": write(lambda t, n: t.relu_()),
    "fill_": write(lambda t, n: t.fill_(n)),
    "copy_": copy,
    "assign": assign,
}


class Program(torch.nn.Module):
    """Runs steps on an ever longer list of tensors, and gives all of them."""

    def __init__(self, steps: list[tuple[str, int, int]]) -> None:
        super().__init__()
        self.steps = steps

    def forward(self, x: Any) -> Any:
        tensors = [x * 1]
        for name, which, number in self.steps:
            STEPS[name](tensors, which, number)
        return tuple(tensor * 1 for tensor in tensors)


def check(steps: list[tuple[str, int, int]]) -> None:
    program = Program(steps)
    x = torch.arange(-11.0, 13.0).reshape(4, 6)
    graph = from_torch(program, x)
    values = execute(graph, {}, {"x": x.numpy()})
    for name, expected in zip(graph.outputs, program(x), strict=True):
        np.testing.assert_allclose(values[name], expected.numpy())


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0, 7), st.integers(0, 5)), max_size=8))
def test_values_after_writing_in_place(steps: list[tuple[str, int, int]]) -> None:
    check(steps)


class Hiding(torch.nn.Module):
    """Gives back an object with views, one of them written to."""

    def forward(self, x: Any) -> Any:
        whole = x * 1
        whole[1].mul_(3)
        return SimpleNamespace(whole=whole, turned=x.transpose(0, 1), row=whole[1].unsqueeze(0))


class Finding(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = torch.nn.Sequential(Hiding())

    def forward(self, x: Any) -> Any:
        hidden = self.inner(x)
        hidden.row.add_(1)
        return hidden.whole @ hidden.turned, hidden.row * 1


@pytest.mark.parametrize("reuse", [True, False])
def test_views_that_leave_their_module_unseen(reuse: bool) -> None:
    x = torch.arange(-11.0, 13.0).reshape(4, 6)
    graph = from_torch(Finding(), x, reuse=reuse)
    values = execute(graph, {}, {"x": x.numpy()})
    for name, expected in zip(graph.outputs, Finding()(x), strict=True):
        np.testing.assert_allclose(values[name], expected.numpy())


@pytest.mark.parametrize(
    "steps",
    [
        [("slice", 0, 1), ("add_", 1, 3)],
        [("select", 0, 1), ("fill_", 1, 3), ("transpose", 0, 0)],
        [("view", 0, 0), ("fill_", 0, 3), ("add_", 1, 2)],
        [("split", 0, 1), ("split", 0, 1), ("add_", 1, 3), ("mul_", 2, 0)],
        [("slice", 0, 1), ("transpose", 1, 0), ("select", 2, 2), ("add_", 3, 4), ("relu_", 0, 0), ("add_", 1, 1)],
        [("new", 0, 1), ("copy_", 0, 1), ("assign", 1, 2)],
    ],
)
def test_views_follow_and_lead(steps: list[tuple[str, int, int]]) -> None:
    check(steps)
