"""The keys of an accelerator's TOML file, and an accelerator to and from plain dictionaries with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, get_args

import msgspec
from msgspec import Meta, field

from tilework.errors import MachineError
from tilework.machine.accelerator import Accelerator, Link, Memory, Reached, covers, figures, rate_unit
from tilework.machine.convert import text_of, values_of
from tilework.machine.leaves import (
    Bandwidth,
    Count,
    Duration,
    FunctionRates,
    Name,
    Peaks,
    Power,
    Shares,
    Size,
    Sources,
    Text,
    Year,
    leaf,
)
from tilework.machine.schema import Section, keys_of, types_of
from tilework.machine.sentences import sentence
from tilework.machine.units import OPERATIONS, print_quantity

KIND = "accelerator"


class MemorySection(Section):
    kind: Annotated[Text, Meta(description="what it is made of")] = Text("")
    capacity_bytes: Annotated[Size | None, Meta(description="what it holds")] = None
    bandwidth_bytes_per_second: Annotated[Bandwidth | None, Meta(description="of reading, the whole memory")] = None


class LinkSection(Section):
    kind: Annotated[Text, Meta(description="how it is called")] = Text("")
    bandwidth_bytes_per_second: Annotated[
        Bandwidth | None, Meta(description="of all links to other devices, both directions added")
    ] = None


class ReachedSection(Section):
    runtime: Annotated[Text, Meta(description="what ran the layers")]
    threads: Annotated[Count, Meta(description="that it had")]
    overhead_seconds: Annotated[Duration, Meta(description="of a layer that does next to nothing")]
    share: Annotated[Shares, Meta(description="of its bound that a layer reaches, by kind")] = field(
        default_factory=Shares
    )
    rate: Annotated[FunctionRates, Meta(description="operations per second of functions such as exp")] = field(
        default_factory=FunctionRates
    )


class AcceleratorFile(Section, kw_only=True, tag_field="kind", tag=KIND):
    name: Annotated[Name, Meta(description="how files, pages and errors call it")]
    description: Annotated[Text, Meta(description="what it is, in one line")] = Text("")
    maker: Annotated[Text, Meta(description="who makes it")] = Text("")
    year: Annotated[Year | None, Meta(description="when it was launched or first described")] = None
    process: Annotated[Text, Meta(description="the technology that it is made in")] = Text("")
    power_watts: Annotated[
        Power | None, Meta(description="its thermal design power, or the highest that is stated")
    ] = None
    unchecked: Annotated[Text, Meta(description="the figures that nobody has compared with their source yet")] = Text(
        ""
    )
    peak: Annotated[
        Peaks, Meta(description="dense operations per second, a multiply-accumulate being two; the main dtype first")
    ] = field(default_factory=Peaks)
    sparse_peak: Annotated[
        Peaks, Meta(description="the same where its maker counts operations with weights that are left out")
    ] = field(default_factory=Peaks)
    memory: Annotated[
        MemorySection, Meta(description="where weights and activations lie, off chip where there is such")
    ] = field(default_factory=MemorySection)
    on_chip: Annotated[MemorySection, Meta(description="the largest memory on chip")] = field(
        default_factory=MemorySection
    )
    link: LinkSection = field(default_factory=LinkSection)
    sources: Annotated[Sources, Meta(description="from a source's title to the figures that are from it")] = field(
        default_factory=Sources
    )
    reached: ReachedSection | None = None


def accelerator_from_dict(data: Mapping[str, Any], where: str = "accelerator") -> Accelerator:
    """The accelerator with these keys; `where` names the file in errors. Raises MachineError, one sentence."""
    try:
        read = msgspec.convert(data, AcceleratorFile, dec_hook=leaf)
    except msgspec.ValidationError as error:
        raise MachineError(f"{where}: {sentence(str(error), data, AcceleratorFile)}") from None
    parts = {"memory": Memory, "on_chip": Memory, "link": Link}
    sections: dict[str, Any] = {name: part(**values_of(getattr(read, name))) for name, part in parts.items()}
    sections["reached"] = read.reached and Reached(**values_of(read.reached))
    accelerator = Accelerator(**values_of(read), **sections)
    if problem := _contradiction(accelerator):
        raise MachineError(f"{where}: {problem}")
    return accelerator


def accelerator_to_dict(accelerator: Accelerator) -> dict[str, Any]:
    """Plain values that `accelerator_from_dict` reads back to an equal accelerator; what isn't known is left out."""
    return {"kind": KIND, **_written(AcceleratorFile, accelerator)}


def _written(section: type[Section], part: object) -> dict[str, Any]:
    types = types_of(section)
    found = ((key, types[key], getattr(part, name)) for key, name in keys_of(section).items())
    written = {key: _text(kind, value) for key, kind, value in found if value not in (None, "")}
    return {key: value for key, value in written.items() if value != {}}


def _text(wanted: Any, value: Any) -> Any:
    kind = (*get_args(wanted), wanted)[0]
    if kind is Peaks:
        return {d: print_quantity(OPERATIONS, rate).replace("FLOP/s", rate_unit(d)) for d, rate in value.items()}
    if kind is FunctionRates:
        return {name: print_quantity(OPERATIONS, rate).replace("FLOP/s", "OP/s") for name, rate in value.items()}
    if kind in (Sources, Shares):
        return value
    return _written(kind, value) if issubclass(kind, Section) else text_of(kind, value)


def _contradiction(accelerator: Accelerator) -> str | None:
    known = list(figures(accelerator))
    for place, listed in (
        *((f"sources.{title}", keys) for title, keys in accelerator.sources.items()),
        ("unchecked", accelerator.unchecked),
    ):
        for key in filter(None, listed.split(", ")):
            if not any(covers(key, figure) for figure in known):
                return f"{place} must have figures that the file gives, not '{key}'; add that figure or take it out"
    return None
