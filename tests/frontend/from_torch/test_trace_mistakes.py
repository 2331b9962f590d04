"""What can't be read, and what the sentence about it says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from torch import nn  # noqa: E402

from tilework.errors import NetworkError  # noqa: E402
from tilework.frontend.from_torch import from_torch, torch_operator  # noqa: E402
from tilework.frontend.from_torch.lowering import Lowering  # noqa: E402
from tilework.frontend.from_torch.registry import TABLE  # noqa: E402

DEPENDS = "the control flow of {} must not depend on a tensor's value ({}): nothing is computed while a network is read"
ITEM = "`item`, `bool`, `int` or `float` of a tensor"


class Of(nn.Module):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Any) -> Any:
        return self.function(x)


def fails(module: Any, *inputs: Any, reuse: bool = True) -> str:
    with pytest.raises(NetworkError) as caught:
        from_torch(module, *(inputs or ((2, 4),)), reuse=reuse)
    return str(caught.value)


@pytest.mark.parametrize(
    ("function", "what"),
    [
        (lambda x: x if x.sum() > 0 else -x, ITEM),
        (lambda x: x * x.max().item(), ITEM),
        (lambda x: x[: int(x[0, 0])], ITEM),
        (lambda x: x if torch.equal(x, x + 1) else -x, "`torch.equal`"),
    ],
)
def test_control_flow_that_depends_on_values(function: Callable[..., Any], what: str) -> None:
    assert fails(Of(function)) == DEPENDS.format("the network", what)
    deep = nn.Sequential(nn.ReLU(), nn.Sequential(Of(function)))
    assert fails(deep) == DEPENDS.format("module 1.0", what)


def test_a_forward_that_fails_names_the_innermost_module() -> None:
    broken = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.ReLU(), Of(lambda x: x.view(3, 3))))
    expected = (
        "the forward of module 1.1 (Of) must run, and fails with RuntimeError: shape '[3, 3]' is invalid for input of "
        "size 8"
    )
    assert fails(broken) == fails(broken, reuse=False) == expected
    assert fails(Of(lambda x: {}["missing"])) == (
        "the forward of the network (Of) must run, and fails with KeyError: 'missing'"
    )
    assert fails(nn.Linear(4, 4), (2, 4), (2, 4)) == (
        "the forward of the network (Linear) must run, and fails with TypeError: Linear.forward() takes 2 positional "
        "arguments but 3 were given"
    )


def test_a_failure_that_the_forward_deals_with_is_none() -> None:
    def forward(x: Any) -> Any:
        try:
            return inner(x.reshape(4, 2))
        except RuntimeError:
            return inner(x)

    inner = nn.Linear(4, 4)
    module = Of(forward)
    module.inner = inner
    graph = from_torch(nn.Sequential(module, module), (2, 4))
    assert [node.label for node in graph.nodes if node.operation == "linear"] == ["linear"] * 2


def test_the_module_is_whole_after_a_failure() -> None:
    module = nn.Sequential(nn.Dropout(), Of(lambda x: x.view(3, 3)))
    fails(module)
    assert module[0].training
    assert "__getattribute__" not in vars(nn.Dropout)
    assert module[0](torch.ones(2, 4)).shape == (2, 4)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_modules_that_are_not_eager() -> None:
    script = torch.jit.script(nn.Linear(4, 4))
    message = "{} must be an eager module, not TorchScript: give the one it was made from"
    assert fails(script) == message.format("the network")
    assert fails(nn.Sequential(script)) == message.format("module 0")
    assert fails(lambda x: x) == "the network must be a torch.nn.Module, not function"
    assert fails(nn.Sequential(nn.LazyLinear(4))) == (
        "0.weight must have a shape: run its lazy module once on real data first"
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_operators_that_have_no_kernel_for_tensors_without_elements() -> None:
    assert fails(Of(lambda x: x.to_sparse())) == (
        "aten._to_sparse.default in the network must have a kernel for the meta device, on which nothing is computed"
    )


def test_networks_that_do_nothing_and_inputs_without_size() -> None:
    assert fails(Of(lambda x: None)) == "network Of must have at least one output"
    assert fails(nn.Linear(4, 4), (0, 4)) == "the sizes of input must be at least 1, not [0, 4]"
    assert fails(nn.Linear(4, 4), (-1, 4)) == "the sizes of input must be at least 1, not [-1, 4]"


@pytest.fixture
def row() -> Iterator[Callable[[Callable[..., None]], None]]:
    """Makes a function the row of an operator of its own, for one test."""
    library = torch.library.Library("tilework_test", "FRAGMENT")
    library.define("triple(Tensor x, int times=1) -> Tensor")
    library.impl("triple", lambda x, times=1: x * 3, "CompositeExplicitAutograd")
    yield lambda function: torch_operator("tilework_test::triple")(function)
    TABLE.pop("tilework_test.triple", None)
    library._destroy()


def triple(x: Any) -> Any:
    return torch.ops.tilework_test.triple(x)


def test_an_operator_of_ones_own(row: Any) -> None:
    graph = from_torch(Of(triple), (2, 4))
    assert [(node.operation, node.label) for node in graph.nodes] == [("unknown", "tilework_test.triple.default")]

    def stated(c: Lowering, x: Any, times: int = 1) -> None:
        c.set(c.emit("pointwise", x, body="x0 * 3", what="triple"))

    row(stated)
    assert [node.label for node in from_torch(Of(triple), (2, 4)).nodes] == ["triple"]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda c, x: c.set(c.emit("reduce", x)), "its result must have the shape [2, 4], not []"),
        (lambda c, x: None, "its row must say by `set` what result 0 is"),
        (
            lambda c, x: c.set(c.emit("clip", x, low=2.0, high=1.0)),
            "clip must have a low bound of at most its high one",
        ),
        (lambda c: None, "takes 1 positional argument but 2 were given"),
    ],
)
def test_rows_that_are_wrong(row: Any, function: Callable[..., None], message: str) -> None:
    row(function)
    with pytest.raises(NetworkError, match=rf"^tilework_test\.triple\.default in 0: .*{re.escape(message)}"):
        from_torch(nn.Sequential(Of(triple)), (2, 4))
