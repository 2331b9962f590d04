"""The module calls of a forward: while a trace runs, every call of a `torch.nn.Module` passes through here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tilework.errors import NetworkError
from tilework.frontend.from_torch.attributes import Module, Watch, look
from tilework.frontend.from_torch.caches import Update, kept, watched
from tilework.frontend.from_torch.calls import Frame
from tilework.frontend.from_torch.recorder import Recorder
from tilework.frontend.from_torch.reuse import MISSED, Reuse, has_hooks, hooks_on_all
from tilework.frontend.from_torch.sameness import Names
from tilework.frontend.from_torch.surroundings import (
    Replacement,
    one_device,
    real_constants,
    replaced,
    whole_functions,
    without_values,
)
from tilework.frontend.from_torch.tensors import tensors_in

CALL: Callable[..., Any] = Module._call_impl  # a module's forward and its hooks


class Modules:
    """Gives each module call a frame, or notes it as a copy of an earlier one."""

    def __init__(self, names: Names, recorder: Recorder, reuse: bool) -> None:
        self.recorder, self.names, self.watch = recorder, names, Watch(indexed=reuse)
        self.reuse = Reuse(names, recorder, self.watch) if reuse and not hooks_on_all() else None
        self.failed: tuple[BaseException | None, str] = (None, "")

    @contextmanager
    def patched(self) -> Iterator[None]:
        """While this is open, module calls of this thread pass through here."""
        classes = {type(module) for module in self.names.modules.values()}
        recorder = self.recorder
        others = (
            *without_values(),
            *real_constants(),
            *one_device(recorder.hollow),
            *whole_functions(recorder.function),
        )
        with self.watch.over(classes), watched(self._updated, self._touched), replaced([_through(self.call), *others]):
            yield

    def call(self, module: Module, args: Any, keywords: Any) -> Any:
        """Run a module's forward and hooks in a frame of its own, or find its results without."""
        path = self.names.paths.get(id(module))
        if path is None:  # made during the forward, or not registered: part of who calls it
            return CALL(module, *args, **keywords)
        if not path and len(self.recorder.frames) == 1:
            return self._run(module, self.recorder.frames[0], args, keywords)
        arguments = None if self.reuse is None else self.reuse.arguments(module, args, keywords)
        if arguments is None:  # what is behind is brought up to date by the caller, whoever that is
            for tensor in tensors_in((args, keywords)):
                self.recorder.find(tensor)
        if self.reuse is None:
            return self._enter(module, path, args, keywords)[1]
        if has_hooks(module):
            self._touched()
        elif arguments is not None and (results := self.reuse.results(path, arguments)) is not MISSED:
            return results
        mark = self.reuse.mark()
        try:
            frame, results = self._enter(module, path, args, keywords)
        except BaseException:
            self._touched()
            raise
        self.reuse.keep(frame, arguments, mark, (module, args, keywords, results))
        return results

    def _enter(self, module: Module, path: str, args: Any, keywords: Any) -> tuple[Frame, Any]:
        frame = Frame(path, not look(module, "__dict__")["_modules"])
        self.recorder.enter(frame)
        try:
            return frame, self._run(module, frame, args, keywords)
        finally:
            self.recorder.leave()

    def _run(self, module: Module, frame: Frame, args: Any, keywords: Any) -> Any:
        try:
            results = CALL(module, *args, **keywords)
        except Exception as error:
            if self.failed[0] is not error:
                what = f"module {frame.path}" if frame.path else "the network"
                self.failed = (error, f"the forward of {what} ({type(module).__name__})")
            raise
        frame.outputs = (*(self.recorder.find(tensor).value for tensor in tensors_in(results)), *frame.outputs)
        return results

    def _updated(self, update: Update | None, place: Any) -> None:
        self.recorder.give(tensors_in(kept(place)))
        if update is None:
            self._touched()
        else:
            self.watch.updates.append(update)

    def _touched(self) -> None:
        """Something happened for which no call under way can stand for others."""
        self.watch.writes += 1

    def explain(self, error: Exception) -> NetworkError:
        """The error for a forward that raised this one."""
        place = self.failed[1] if self.failed[0] is error else "the forward of the network"
        first = (str(error).strip().splitlines() or [""])[0]
        return NetworkError(f"{place} must run, and fails with {type(error).__name__}: {first}")


def _through(call: Callable[[Module, Any, Any], Any]) -> Replacement:
    """Not `__call__` but what it calls is replaced: a special method would have to be set anew in every subclass."""
    thread = threading.get_ident()

    def patched(self: Module, *args: Any, **keywords: Any) -> Any:
        if threading.get_ident() != thread:
            return CALL(self, *args, **keywords)
        return call(self, args, keywords)

    return Module, "_call_impl", patched
