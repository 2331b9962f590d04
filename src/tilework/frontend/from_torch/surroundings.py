"""What torch and Python are set to while a forward runs on tensors without elements, and back afterwards."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from tilework.frontend.from_torch.attributes import Module
from tilework.frontend.from_torch.data_dependent import FUNCTIONS

RECURRENT = tuple(f"{name}{cell}" for name in ("lstm", "gru", "rnn_tanh", "rnn_relu") for cell in ("", "_cell"))
WARNS = "warn_if_padding_and_no_attention_mask"


@contextmanager
def evaluation(modules: list[Module]) -> Iterator[None]:
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
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), _boxes_all_at_once(), _without_warning():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


@contextmanager
def _boxes_all_at_once() -> Iterator[None]:
    """torchvision thins out boxes class by class, in as many steps as there are classes among them, or all at once;
    the result is the same. The number of classes isn't known, and its bound is the number of boxes."""
    boxes: Any = sys.modules.get("torchvision.ops.boxes")
    by_class = getattr(boxes, "_batched_nms_vanilla", None)
    if by_class is None:
        yield
        return
    boxes._batched_nms_vanilla = boxes._batched_nms_coordinate_trick
    try:
        yield
    finally:
        boxes._batched_nms_vanilla = by_class


@contextmanager
def _without_warning() -> Iterator[None]:
    """transformers warns where token numbers look padded; that looks at their values, and does nothing else."""
    library: Any = sys.modules.get("transformers.modeling_utils")
    model = getattr(library, "PreTrainedModel", None)
    warn = getattr(model, WARNS, None)
    if warn is None:
        yield
        return
    setattr(model, WARNS, lambda self, input_ids, attention_mask: None)
    try:
        yield
    finally:
        setattr(model, WARNS, warn)


@contextmanager
def one_device(hollow: Callable[[Any], Any]) -> Iterator[None]:
    """Recurrent layers, which insist on one device, get all their tensors as `hollow` makes them."""

    def on_meta(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args: function(*map(hollow, args))

    for name in RECURRENT:
        setattr(torch._VF, name, on_meta(getattr(torch._C._VariableFunctions, name)))
    try:
        yield
    finally:
        for name in RECURRENT:
            delattr(torch._VF, name)


@contextmanager
def real_constants() -> Iterator[None]:
    """A tensor made from numbers is on the CPU, where a trace keeps its elements, and never on the meta device."""
    makers = ((torch, "tensor", torch.tensor), (torch.Tensor, "new_tensor", torch.Tensor.new_tensor))

    def tensor(data: Any, **options: Any) -> torch.Tensor:
        return makers[0][2](data, **{**options, "device": "cpu"})

    def new_tensor(self: torch.Tensor, data: Any, **options: Any) -> torch.Tensor:
        return tensor(data, **{"dtype": self.dtype, **options})

    for (place, name, _), maker in zip(makers, (tensor, new_tensor), strict=True):
        setattr(place, name, maker)
    try:
        yield
    finally:
        for place, name, original in makers:
            setattr(place, name, original)


@contextmanager
def whole_functions(call: Callable[[str, tuple[Any, ...], Sequence[tuple[int, ...]]], Any]) -> Iterator[None]:
    """Functions that loop over elements are one `call` each, of a name, arguments and the results' shapes."""

    def one_call(name: str, shapes: Callable[..., Sequence[tuple[int, ...]]]) -> Callable[..., Any]:
        return lambda *args: call(name, args, shapes(*args))

    loaded = {key: sys.modules[key[0]] for key in FUNCTIONS if key[0] in sys.modules}
    originals = [(module, name, getattr(module, name)) for (_, name), module in loaded.items()]
    for key, module in loaded.items():
        setattr(module, key[1], one_call(f"{key[0].partition('.')[0]}.{key[1]}", FUNCTIONS[key]))
    try:
        yield
    finally:
        for module, name, original in originals:
            setattr(module, name, original)


@contextmanager
def no_collection() -> Iterator[None]:
    """Python's search for unreachable objects, which the many small ones of a trace would set off, waits."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
