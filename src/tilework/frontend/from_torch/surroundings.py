"""What torch, Python and libraries are set to while a forward runs on tensors without elements, and back afterwards."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from tilework.frontend.from_torch.attributes import Module
from tilework.frontend.from_torch.data_dependent import FUNCTIONS

RECURRENT = tuple(f"{name}{cell}" for name in ("lstm", "gru", "rnn_tanh", "rnn_relu") for cell in ("", "_cell"))

Replacement = tuple[Any, str, Any]  # a module or class, the name of an attribute, and what it is for a while


@contextmanager
def replaced(replacements: Sequence[Replacement]) -> Iterator[None]:
    """While this is open, attributes are others; one that was inherited is so again afterwards."""
    before = [(place, name, vars(place).get(name)) for place, name, _ in replacements]
    for place, name, value in replacements:
        setattr(place, name, value)
    try:
        yield
    finally:
        for place, name, value in before:
            if value is None:
                delattr(place, name)
            else:
                setattr(place, name, value)


@contextmanager
def evaluation(modules: Iterable[Module]) -> Iterator[None]:
    """Every module in evaluation mode and not compiled."""
    changed = []
    for module in modules:
        for name, value in (("training", False), ("_compiled_call_impl", None)):
            if module.__dict__.get(name):
                changed.append((module.__dict__, name, module.__dict__[name]))
                module.__dict__[name] = value
    try:
        yield
    finally:
        for state, name, value in changed:
            state[name] = value


@contextmanager
def in_parts() -> Iterator[None]:
    """No gradients, and composite operators in their parts, not as one kernel."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


@contextmanager
def deep() -> Iterator[None]:
    """As many module calls within each other as Python otherwise allows: a trace needs more of its frames for each."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(3 * limit)
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


def without_values() -> list[Replacement]:
    """What libraries do in a way that depends on elements, and can do otherwise with the same result."""
    replacements: list[Replacement] = []
    boxes: Any = sys.modules.get("torchvision.ops.boxes")
    if hasattr(boxes, "_batched_nms_vanilla"):  # a step for each class of boxes that occurs; the other way has one
        replacements.append((boxes, "_batched_nms_vanilla", boxes._batched_nms_coordinate_trick))
    model = getattr(sys.modules.get("transformers.modeling_utils"), "PreTrainedModel", None)
    if hasattr(model, "warn_if_padding_and_no_attention_mask"):  # a warning, if token numbers look padded
        nothing = lambda self, input_ids, attention_mask: None  # noqa: E731
        replacements.append((model, "warn_if_padding_and_no_attention_mask", nothing))
    return replacements


def real_constants() -> list[Replacement]:
    """A tensor made from numbers is on the CPU, where a trace keeps its elements, and never on the meta device."""
    original = torch.tensor

    def tensor(data: Any, **options: Any) -> torch.Tensor:
        return original(data, **{**options, "device": "cpu"})

    def new_tensor(self: torch.Tensor, data: Any, **options: Any) -> torch.Tensor:
        return original(data, **{"dtype": self.dtype, **options, "device": "cpu"})

    return [(torch, "tensor", tensor), (torch.Tensor, "new_tensor", new_tensor)]


def one_device(hollow: Callable[[Any], Any]) -> list[Replacement]:
    """Recurrent layers, which insist on one device, get all their tensors as `hollow` makes them."""

    def on_meta(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args: function(*map(hollow, args))

    return [(torch._VF, name, on_meta(getattr(torch._C._VariableFunctions, name))) for name in RECURRENT]


def whole_functions(call: Callable[[str, tuple[Any, ...], Sequence[tuple[int, ...]]], Any]) -> list[Replacement]:
    """Functions that loop over elements are one `call` each, of a name, arguments and the results' shapes."""

    def one_call(name: str, shapes: Callable[..., Sequence[tuple[int, ...]]]) -> Callable[..., Any]:
        return lambda *args: call(name, args, shapes(*args))

    return [
        (sys.modules[module], name, one_call(f"{module.partition('.')[0]}.{name}", shapes))
        for (module, name), shapes in FUNCTIONS.items()
        if module in sys.modules
    ]
