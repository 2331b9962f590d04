"""Module calls that can only do what an earlier one did: they are noted as its copies, and not run.

That is so where class and arguments' outlines are the same, all that the earlier forward read of its modules is the
same in these, it wrote to nothing that was there before, and it took and gave only tensors, plain values and
containers of them. Global variables and random numbers are taken as constant.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch.nn.modules import module as torch_module

from tilework.frontend.from_torch.attributes import (
    ABSENT,
    INERT,
    Copied,
    Module,
    Read,
    Watch,
    contents,
    held,
    look,
    unchanged,
)
from tilework.frontend.from_torch.caches import INDEX, Index, Update, kept, place_of
from tilework.frontend.from_torch.calls import Frame, Repeat, Value
from tilework.frontend.from_torch.packing import Arguments, Packed, Packing, UnpackableError, Unpacking
from tilework.frontend.from_torch.recorder import Recorder
from tilework.frontend.from_torch.sameness import SCALARS, Names, Sameness
from tilework.frontend.from_torch.tensors import tensors_in

MISSED: Any = object()
TEMPLATES = 4  # so many calls alike, of which the last were taken, are compared with the next; more take too long


class Mark(NamedTuple):
    """How far the trace was before a call: the log's length, writes to modules, updates of caches, the last Value, the
    oldest write."""

    start: int
    writes: int
    updates: int
    last: int
    oldest: float


@dataclass(slots=True)
class Template:
    """A call that may stand for others. What it read lies in the watch's log, from `start` up to `end`; `reads` and
    `changing`, the containers among it with their contents, are sorted out of there when first asked for."""

    frame: Frame
    arguments: Arguments
    results: Packed
    updates: tuple[tuple[Update, Packed], ...]
    start: int
    end: int
    reads: list[Reads] | None = None
    changing: Sequence[tuple[Any, Any]] = ()


class Reads(NamedTuple):
    """What was read of one module, sorted by how it is compared.

    `every` attribute; those of them that it lacks, which its class may have; plain values; the modules within it, with
    the rest of their paths; and the others. `rest` is that of its own path, None outside the call's.
    """

    module: Module
    rest: str | None
    every: list[Read]
    absent: frozenset[str]
    plain: list[tuple[str, Any]]
    modules: list[tuple[str, Module, str | None]]
    others: list[Read]

    @classmethod
    def of(cls, every: list[Read], names: Names, path: str) -> Reads:
        """Sort out what was read of a module by a call of the module `path`."""
        state = look(every[0].module, "__dict__")
        plain, modules, others = [], [], []
        for read in every:
            if read.held is None or read.held is ABSENT:
                pass
            elif state["_modules"].get(read.name) is read.held:
                modules.append((read.name, read.held, names.rest(read.held, path)))
                continue
            if read.name in state and type(read.held) in SCALARS:
                plain.append((read.name, read.held))
            elif read.held is not ABSENT:
                others.append(read)
        absent = frozenset(read.name for read in every if read.held is ABSENT)
        return cls(every[0].module, names.rest(every[0].module, path), every, absent, plain, modules, others)


class Reuse:
    """The calls of one trace that may stand for others."""

    def __init__(self, names: Names, recorder: Recorder, watch: Watch) -> None:
        self.names, self.recorder, self.watch = names, recorder, watch
        self.templates: dict[Any, list[Template]] = {}

    def arguments(self, module: Module, args: Any, keywords: Any) -> Arguments | None:
        """What a call is known by; None where it can't stand for others, nor others for it."""
        try:
            return Arguments(self.recorder, (type(module), _state()), args, keywords)
        except UnpackableError:
            return None

    def results(self, path: str, arguments: Arguments) -> Any:
        """The results of a call, noted as a copy of an earlier one; MISSED where none did what this would do."""
        known = self.templates.get(arguments.key, [])
        for place in reversed(range(len(known))):
            outside = self._match(known[place], path, arguments)
            if outside is not None:
                template = known.pop(place)
                known.append(template)
                unpacking = Unpacking(self.recorder, arguments, outside)
                results = unpacking.unpack(template.results)
                self._update(template, path, unpacking)
                self.recorder.record(Repeat(template.frame, path, outside, unpacking.made))
                self.watch.log.append(Copied(template, path))
                return results
        return MISSED

    def _update(self, template: Template, path: str, unpacking: Unpacking) -> None:
        """Leave in the caches what the template's call left there."""
        for update, packed in template.updates:
            place = self._place(update, template, path)
            vars(place).update(unpacking.unpack(packed))
            self.recorder.give(tensors_in(kept(place)))
            self.watch.writes += 1  # for the calls around this one

    def _place(self, update: Update, template: Template, path: str) -> Any:
        """The place that is for a copy what the template's update changed; None if there is none."""
        twin = self.names.twin(update.module, template.frame.path, path)
        number = None if twin is None else held(twin, INDEX)
        return place_of(update.cache, number) if type(number) is int else None

    def mark(self) -> Mark:
        """To be asked before a call that may become a template, and given to `keep` after it."""
        watch, recorder = self.watch, self.recorder
        mark = Mark(len(watch.log), watch.writes, len(watch.updates), recorder.last, recorder.oldest)
        self.recorder.oldest = float("inf")
        return mark

    def keep(self, frame: Frame, arguments: Arguments | None, mark: Mark, call: tuple[Module, Any, Any, Any]) -> None:
        """Keep a call (module, arguments, keywords, results) as a template, if it may be one."""
        oldest = self.recorder.oldest
        self.recorder.oldest = min(mark.oldest, oldest)
        module, args, keywords, results = call
        if arguments is None or self.watch.writes != mark.writes or oldest <= mark.last:
            return
        if arguments.changeable:
            after = self.arguments(module, args, keywords)
            if after is None or after.key != arguments.key or after.values != arguments.values:
                return
        updates = self.watch.updates[mark.updates :]
        packing = Packing(self.recorder, arguments, mark.last)
        try:
            packed = packing.pack(results)
            changes = tuple((update, packing.pack(vars(update.place))) for update in updates)
        except UnpackableError:
            return
        template = Template(frame, arguments, packed, changes, mark.start, len(self.watch.log))
        known = self.templates.setdefault(arguments.key, [])
        known.append(template)
        del known[:-TEMPLATES]

    def _match(self, template: Template, path: str, arguments: Arguments) -> dict[int, Value] | None:
        """Which Values the template's Values from outside are for a call of the module `path`; None if it differs."""
        old = template.frame.path
        sameness = Sameness(self.names, self.recorder, old, path)
        pairs = zip(template.arguments.values, arguments.values, strict=True)
        if not all(sameness.bind(value.id, here) for value, here in pairs):
            return None
        reads = self._reads(template)
        if not all(unchanged(value, before) for value, before in template.changing):
            return None
        if not all(self._same(of_one, path, sameness) for of_one in reads):
            return None
        for update, _ in template.updates:
            place = self._place(update, template, path)
            if type(place) is not type(update.place) or not sameness.same(update.before, vars(place)):
                return None
        return self._outside(template, sameness)

    def _outside(self, template: Template, sameness: Sameness) -> dict[int, Value] | None:
        """The template's Values from outside; each must be one that was compared, or the very same.

        Different ones must stay different, as a forward may ask whether one tensor is another.
        """
        outside = {number: sameness.values.get(number, value) for number, value in template.frame.outside().items()}
        for number in outside.keys() - sameness.values.keys():
            weight = self.recorder.weights.get(number)
            if weight is not None and weight.startswith(f"{template.frame.path}."):
                return None
        every = {**sameness.values, **outside}
        return outside if len({value.id for value in every.values()}) == len(every) else None

    def _same(self, reads: Reads, path: str, sameness: Sameness) -> bool:
        """Whether what was read of a module is still so, and the same in the module that stands for it in `path`."""
        module = reads.module
        twin = module if reads.rest is None else self.names.modules.get(path + reads.rest)
        if twin is None or type(twin) is not type(module) or has_hooks(twin):
            return False
        state, other = look(module, "__dict__"), look(twin, "__dict__")
        if not (lacks(state, reads.absent) and lacks(other, reads.absent)):
            return False
        for name, before, rest in reads.modules:
            expected = before if rest is None else self.names.modules.get(path + rest)
            if state["_modules"].get(name) is not before or other["_modules"].get(name) is not expected:
                return False
        for name, before in reads.plain:
            now, here = state.get(name), other.get(name)
            if now is not before or type(here) is not type(before) or here != before:
                return False
        return all(self._equal(read, module, twin, sameness) for read in reads.others)

    def _equal(self, read: Read, module: Module, twin: Module, sameness: Sameness) -> bool:
        a, b = held(module, read.name), held(twin, read.name)
        if type(read.held) is Index:
            return not read.held.looked_at or bool(a == b)
        return a is read.held and (equal(a, b) or sameness.same(a, b))

    def _reads(self, template: Template) -> list[Reads]:
        """What a template read, by module, each attribute once."""
        if template.reads is None:
            first: dict[int, dict[str, Read]] = {}
            for read in self._logged(template):
                first.setdefault(id(read.module), {}).setdefault(read.name, read)
            path = template.frame.path
            every = [list(reads.values()) for reads in first.values()]
            template.reads = [Reads.of(reads, self.names, path) for reads in every]
            changing = {
                id(read.held): (read.held, read.contents)
                for reads in every
                for read in reads
                if read.contents is not None
            }
            template.changing = list(changing.values())
        return template.reads

    def _logged(self, template: Template) -> Iterator[Read]:
        for item in self.watch.log[template.start : template.end]:
            if isinstance(item, Copied):
                yield from self._copied(item)
            else:
                yield item

    def _copied(self, copied: Copied) -> Iterator[Read]:
        """What a copy would have read, had it been run."""
        for reads in self._reads(copied.template):
            twin = reads.module if reads.rest is None else self.names.modules[copied.path + reads.rest]
            for read in reads.every:
                now = held(twin, read.name)
                if type(read.held) is Index:
                    now = self.watch.index(twin, now)
                yield Read(twin, read.name, now, contents(now))


def has_hooks(module: Module) -> bool:
    """Whether somebody wants to be told when the module is called."""
    state = look(module, "__dict__")
    return bool(state["_forward_hooks"] or state["_forward_pre_hooks"])


def hooks_on_all() -> bool:
    """Whether somebody wants to be told when any module is called."""
    return bool(torch_module._global_forward_hooks or torch_module._global_forward_pre_hooks)


def equal(a: Any, b: Any) -> bool:
    """Whether it is one object, which is neither a tensor nor a module nor holds any."""
    return a is b and type(a) in INERT


def lacks(state: dict[str, Any], names: frozenset[str]) -> bool:
    """Whether a module of this state holds nothing by these names."""
    apart = names.isdisjoint
    return apart(state) and apart(state["_parameters"]) and apart(state["_buffers"]) and apart(state["_modules"])


def _state() -> tuple[Any, ...]:
    """What torch's operators depend on besides their arguments."""
    cast = (torch.is_autocast_enabled("cpu"), torch.is_autocast_enabled("cuda"))
    return *cast, torch.get_default_dtype(), torch.is_grad_enabled(), torch.is_inference_mode_enabled()
