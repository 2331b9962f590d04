"""The dispatch mode under which a forward runs: every operator is recorded, and nothing large is computed.

Tensors that stem from inputs or weights have no elements: they are on the meta device. Tensors made from numbers alone
(`arange`, masks from shapes) stay real as long as they are small, so that control flow may depend on them. What an
operator gives on the meta device depends on the outlines of its arguments only, and is kept from call to call, so that
a process works it out once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import inf, prod
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tilework.errors import NetworkError
from tilework.frontend.from_torch.aliasing import refresh, written
from tilework.frontend.from_torch.calls import Call, Frame, Repeat, Value
from tilework.frontend.from_torch.data_dependent import NEEDS_VALUES, OVERRIDES
from tilework.frontend.from_torch.tensors import META, Known, Outline, dtype_name, outline

CONSTANT_LIMIT = 1 << 20  # elements of a tensor that stays real
KEPT_LIMIT = 1 << 14
PLACES = ("device", "layout", "pin_memory")  # keywords that say where a tensor lies, not what it is
IN_PLACE = "in place"

Kept = tuple[bool, tuple[Any, ...]] | str  # whether the result is one alone, and the outlines; or the first argument
Arguments = tuple[Any, ...]
Keywords = dict[str, Any]


class Operator:
    """What the recorder must know of a torch operator, from its schema."""

    __slots__ = (
        *("function", "in_place", "is_view", "makes", "mutates", "name", "needs_values", "outputs", "override"),
    )

    def __init__(self, function: Any) -> None:
        schema = function._schema
        self.function, self.name = function, str(function)
        packet = self.name.rpartition(".")[0]
        self.override: Callable[..., Any] | None = OVERRIDES.get(packet)
        self.needs_values: str | None = NEEDS_VALUES.get(packet)
        self.makes: bool = any(argument.name == "device" for argument in schema.arguments)
        self.mutates: bool = schema.is_mutable
        first = schema.arguments[0].alias_info if schema.arguments else None
        self.outputs = frozenset(
            a.name for a in schema.arguments if a.kwarg_only and a.alias_info and a.alias_info.is_write
        )
        self.in_place: bool = self.mutates and first is not None and first.is_write
        returned = schema.returns[0].alias_info if schema.returns else None
        self.is_view: bool = returned is not None and not self.mutates


_operators: dict[Any, Operator] = {}
_kept: dict[tuple[Any, ...], Kept] = {}


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records what torch's dispatcher shows. `frames` is the stack of module calls, the innermost last.

    Tensors of more than `limit` elements are never real; with a limit below 0 none is. Of the tensors that were
    written to, `oldest` is when the first was born: the number that it had then.
    """

    def __init__(self, root: Frame, limit: int = CONSTANT_LIMIT) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.limit = limit
        self.known: dict[int, Known] = {}
        self.sources: dict[int, torch.Tensor] = {}
        self.values: dict[int, Value] = {}
        self.weights: dict[int, str] = {}
        self.frames = [root]
        self.foreign: list[list[torch.Tensor]] = [[]]
        self.last = 0
        self.oldest = inf

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: that would load torch's compiler, which takes a second, for a forward that isn't compiled."""
        return False

    def source(self, tensor: torch.Tensor, weight: str) -> Value:
        """Take up a weight by its name, or an input on the meta device."""
        value = Value(-1 - len(self.sources), tuple(tensor.shape), dtype_name(tensor.dtype))
        if weight:
            self.weights[value.id] = weight
        self.values[id(tensor)], self.sources[value.id] = value, tensor
        return value

    def untouched(self, tensor: torch.Tensor) -> Value | None:
        """The Value of a weight or an input that nobody wrote to; None for any other tensor."""
        known = self.known.get(id(tensor))
        return self.values.get(id(tensor)) if known is None or not known.root.version else None

    def fresh(self, tensor: torch.Tensor, looks: Outline, constant: bool = False) -> Known:
        """A tensor that has just been made."""
        self.last += 1
        known = self.known[id(tensor)] = Known(tensor, looks, self.last, constant)
        return known

    def number(self) -> int:
        self.last += 1
        return self.last

    def enter(self, frame: Frame) -> None:
        """A module call begins."""
        self.record(frame)
        self.frames.append(frame)
        self.foreign.append([])

    def leave(self) -> None:
        """A module call ends. Constants from outside that it was the first to read are not known to others."""
        outputs = {value.id for value in self.frames.pop().outputs}
        for tensor in self.foreign.pop():
            if self.known[id(tensor)].value.id not in outputs:
                del self.known[id(tensor)]

    def record(self, step: Call | Frame | Repeat) -> None:
        self.frames[-1].steps.append(step)

    def find(self, tensor: torch.Tensor) -> Known:
        """What is known of a tensor, its Value brought up to date; one from outside the trace is a constant."""
        known = self.known.get(id(tensor))
        if known is None and id(tensor) in self.values:
            looks = outline(tensor)
            known = self.known[id(tensor)] = Known(tensor, looks, self.values[id(tensor)].id)
        elif known is None:
            small = tensor.device != META and tensor.numel() <= self.limit
            known = self.fresh(tensor, outline(tensor), constant=small)
            call = Call("tilework.constant.default", (), (), (known.value,))
            known.born = 0
            self.record(call)
            self.foreign[-1].append(tensor)
        elif known.seen != known.root.version:
            refresh(known, self)
        return known

    def function(self, name: str, args: Arguments, shapes: Sequence[tuple[int, ...]]) -> Any:
        """Record a function as one call; its results are like its first argument but for their shapes."""
        call = tuple(self.find(item).value if isinstance(item, torch.Tensor) else item for item in args)
        with torch._C._DisableTorchDispatch():
            tensors = [torch.empty(shape, dtype=args[0].dtype, device=META) for shape in shapes]
        values = tuple(self.fresh(tensor, outline(tensor)).value for tensor in tensors)
        self.record(Call(f"{name}.default", call, (), values))
        return tensors[0] if len(tensors) == 1 else tuple(tensors)

    def give(self, tensors: Iterable[torch.Tensor]) -> None:
        """These tensors outlive all module calls that are under way."""
        values = tuple(self.find(tensor).value for tensor in tensors)
        for frame in self.frames:
            frame.outputs += values

    @property
    def place(self) -> str:
        """Where the trace is, for messages."""
        return f"module {self.frames[-1].path}" if self.frames[-1].path else "the network"

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        operator = _operators.get(func)
        if operator is None:
            operator = _operators[func] = Operator(func)
        keywords = kwargs or {}
        read: list[Known] = []
        key: list[Any] = [func, torch.get_default_dtype()]
        taken = tuple([self._take(item, read, key) for item in args])
        options = self._options(operator, keywords, read, key) if keywords else ()
        if all(known.root.constant for known in read):
            results = self._real(operator, args, keywords, tuple(key))
        else:
            results = self._hollow(operator, args, keywords, tuple(key), read)
        self._note(operator, (taken, options), results if results is not None or not args else args[0], read)
        return results

    def _take(self, item: Any, read: list[Known], key: list[Any]) -> Any:
        """What is recorded of an argument; its tensors are added to `read`, what shapes depend on to `key`."""
        if isinstance(item, torch.Tensor):
            known = self.find(item)
            read.append(known)
            key.append(known.outline)
            return known.value
        kind = type(item)
        if kind is list or kind is tuple:
            key.append(len(item))
            return tuple([self._take(part, read, key) for part in item])
        if kind is torch.dtype:
            item = dtype_name(item)
        elif kind in (torch.memory_format, torch.layout, torch.device):
            item = str(item).removeprefix("torch.")
        key.append(kind)
        key.append(item)
        return item

    def _options(
        self, operator: Operator, keywords: Keywords, read: list[Known], key: list[Any]
    ) -> tuple[tuple[str, Any], ...]:
        """What is recorded of keywords: neither where a tensor is to lie, nor where results are to be written."""
        options = []
        for name, item in keywords.items():
            if name not in PLACES:
                key.append(name)
                taken = self._take(item, read, key)
                if name not in operator.outputs:
                    options.append((name, taken))
        return tuple(options)

    def _real(self, operator: Operator, args: Arguments, keywords: Keywords, key: tuple[Any, ...]) -> Any:
        """Run an operator on constants for real, unless its result would be large."""
        if not operator.mutates and operator.override is None and operator.needs_values is None:
            try:
                kept = _kept.get(key) or self._keep(operator, args, keywords, key)
                if _size(kept) > self.limit:
                    return _again(kept, args)
            except NotImplementedError as error:
                if self.limit < 0:
                    raise self._unsupported(operator) from error
        if "device" in keywords:
            keywords = {**keywords, "device": torch.device("cpu")}
        try:
            return operator.function(*args, **keywords)
        except NotImplementedError as error:
            raise self._unsupported(operator) from error

    def _hollow(
        self, operator: Operator, args: Arguments, keywords: Keywords, key: tuple[Any, ...], read: list[Known]
    ) -> Any:
        """An operator's results on the meta device, looked up where they are kept."""
        if operator.needs_values is not None:
            raise NetworkError(
                f"the control flow of {self.place} must not depend on a tensor's value ({operator.needs_values}): "
                "nothing is computed while a network is read"
            )
        if operator.mutates:
            for known in read[:1] if operator.in_place else read:
                known.root.constant = False
        kept = _kept.get(key)
        if kept is not None:
            return _again(kept, args)
        try:
            if operator.override is not None:
                return operator.override(self.hollow, operator.function, *args, **keywords)
            if operator.mutates:
                return self._write(operator, args, keywords, key)
            return _again(self._keep(operator, args, keywords, key), args)
        except NotImplementedError as error:
            raise self._unsupported(operator) from error

    def _keep(self, operator: Operator, args: Arguments, keywords: Keywords, key: tuple[Any, ...]) -> Kept:
        """Work out what an operator that changes nothing gives, and keep it."""
        results = self._run(operator, args, keywords)
        single = not isinstance(results, list | tuple)
        items = tuple(outline(r) if isinstance(r, torch.Tensor) else r for r in ((results,) if single else results))
        return self._store(key, (single, items))

    def _store(self, key: tuple[Any, ...], kept: Kept) -> Kept:
        if len(_kept) >= KEPT_LIMIT:
            _kept.clear()
        _kept[key] = kept
        return kept

    def _write(self, operator: Operator, args: Arguments, keywords: Keywords, key: tuple[Any, ...]) -> Any:
        """Run an operator that changes its arguments on hollow ones; the result is the argument itself."""
        results = self._run(operator, args, keywords)
        if not operator.in_place or not isinstance(results, torch.Tensor):
            return keywords.get("out", results)
        known = self.known[id(args[0])]
        if outline(known.hollow()) == known.outline:
            self._store(key, IN_PLACE)
        return args[0]

    def _run(self, operator: Operator, args: Arguments, keywords: Keywords) -> Any:
        options = {name: self.hollow(item) for name, item in keywords.items()}
        if operator.makes:
            options["device"] = META
        return operator.function(*[self.hollow(item) for item in args], **options)

    def hollow(self, item: Any) -> Any:
        """An argument with its tensors on the meta device."""
        if isinstance(item, torch.Tensor):
            known = self.known.get(id(item)) or self.find(item)
            with torch._C._DisableTorchDispatch():
                twin = known.hollow()
            self.known[id(twin)] = known
            return twin
        if isinstance(item, list | tuple):
            return [self.hollow(part) for part in item]
        return item

    def _unsupported(self, operator: Operator) -> NetworkError:
        return NetworkError(
            f"{operator.name} in {self.place} must have a kernel for the meta device, on which nothing is computed"
        )

    def _note(self, operator: Operator, taken: tuple[Any, Any], results: Any, read: list[Known]) -> None:
        """Record the call, and what its results are from now on."""
        items = results if isinstance(results, list | tuple) else (results,)
        fresh = [self._result(operator, item, read) if isinstance(item, torch.Tensor) else None for item in items]
        call = Call(operator.name, *taken, tuple([None if known is None else known.value for known in fresh]))
        if not any(fresh):
            return
        self.record(call)
        if operator.is_view:
            for place, known in enumerate(fresh):
                if known is not None and known is not read[0]:
                    known.parent, known.root, known.call, known.place = read[0], read[0].root, call, place
                    known.seen = known.root.version
        elif operator.mutates:
            for known in fresh:
                if known is not None:
                    self.oldest = min(self.oldest, known.root.born)
                    written(known)

    def _result(self, operator: Operator, tensor: torch.Tensor, read: list[Known]) -> Known:
        known = self.known.get(id(tensor)) if operator.mutates else None
        if known is None:
            return self.fresh(tensor, outline(tensor), all(k.root.constant for k in read) and tensor.device != META)
        looks = outline(tensor if known.root.constant else known.hollow())
        if looks != known.outline:
            known.outline = looks
            known.meta = None if known.root.constant else known.meta
        known.value = Value(self.number(), looks.shape, looks.name)
        return known


def _size(kept: Kept) -> int:
    """The elements of all results together."""
    return sum(prod(item.shape) for item in kept[1] if isinstance(item, Outline))


def _again(kept: Kept, args: Arguments) -> Any:
    """Results as they were kept."""
    if isinstance(kept, str):
        return args[0]
    single, items = kept
    results = [item.tensor() if type(item) is Outline else item for item in items]
    return results[0] if single else tuple(results)
