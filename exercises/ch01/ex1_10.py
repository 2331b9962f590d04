"""1.10: the whole system, from a network in Python to an executable file and its accelerated output."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import wrap
from typing import Any

import tilework as tw

TITLE = "The whole system: from a network in Python to an executable file and its accelerated output"
QUESTION = """
What parts does a system for deep learning need, from the language in which a network is described down to the
hardware? Build one that has them all: a Python front end, optimisations that know no hardware, a schedule for
host and accelerator, an instruction set, units that load, compute and store, and an executable file which,
given an input, gives the accelerated output.
"""
NOTICE = """
Each stage knows only the one before it. The front end and the optimisations have never heard of a processor;
the executable holds no network, only instructions and weights, and runs without the compiler.

Fusion saves traffic, not arithmetic: bias, ReLU and pooling work on a tile while it is still on the chip.

There are two gains, and they should not be mixed up. Parallel arithmetic (256 multipliers, 64 vector lanes)
brings most of the distance to a unit that does one operation per cycle. Overlap, loading the next tile while
this one is computed, brings the rest. The serial program has the same loads, computations and stores, each
followed by `sync` in place of tokens, and gives the same outputs.

All of this network can run on the accelerator, so the host only reads the picture and picks the most probable
digit. Compression is not among the optimisations so far: weights stay float32.
"""

PICTURE = Path(__file__).resolve().parents[2] / "examples" / "digits.png"


def network() -> tw.Graph:
    """LeNet-5 described in Python, with the dropout that helps while it is trained."""
    g = tw.GraphBuilder("digit_reader")
    value = g.input("image", (1, 1, 28, 28))
    for i, (filters, channels, padding) in enumerate(((6, 1, 2), (16, 6, 0)), 1):
        weights = g.weight(f"conv{i}.weight", (filters, channels, 5, 5)), g.weight(f"conv{i}.bias", (filters,))
        value = g.node(f"conv{i}", "conv2d", value, *weights, padding=(padding, padding))
        value = g.node(f"pool{i}", "max_pool2d", g.node(f"relu{i}", "relu", value))
    value = g.node("flatten", "flatten", value)
    for i, (outputs, inputs) in enumerate(((120, 400), (84, 120), (10, 84)), 1):
        weights = g.weight(f"fc{i}.weight", (outputs, inputs)), g.weight(f"fc{i}.bias", (outputs,))
        value = g.node(f"fc{i}", "linear", value, *weights)
        if i < 3:
            value = g.node(f"drop{i}", "dropout", g.node(f"relu{i + 2}", "relu", value))
    return g.graph(g.node("softmax", "softmax", value))


def answer() -> dict[str, Any]:
    """What each stage made, in the order of the stages."""
    graph = network()
    built = tw.compile(graph, "dlp-s", tw.find_weights(graph, "lenet5"))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "digit_reader.tile"
        built.save(path)
        loaded = tw.load_executable(path)
        stages = {"front_end": _front_end(graph), **_compiler(built), **_hardware(loaded)}
        stages["executable"] = {"bytes": path.stat().st_size, "same_program": _same(loaded.program, built.program)}
        stages["run"] = _run(loaded)
        stages["time"] = _time(graph, loaded)
    return stages


def _front_end(graph: tw.Graph) -> dict[str, Any]:
    total = tw.count(graph).total
    operations = [node.operation for node in graph.nodes]
    return {"operations": operations, "parameters": total.parameters, "macs": total.macs}


def _compiler(built: tw.Executable) -> dict[str, Any]:
    made = built.compilation
    assert made is not None
    values = {name: group.tensors[name] for group in made.groups for name in group.local if name in made.graph.tensors}
    return {
        "simplified": list(made.log),
        "fused": [" + ".join(group.nodes) for group in made.groups if len(group.nodes) > 1],
        "groups": len(made.groups),
        "bytes_kept_on_chip": sum(tensor.size_bytes for tensor in values.values()),
        "host_operations": list(made.program.host_operations),
        "tiling": str(made.tilings[0]),
    }


def _hardware(loaded: tw.Executable) -> dict[str, Any]:
    cost = loaded.cost
    return {
        "machine": loaded.program.machine.description,
        "instruction_counts": cost.instruction_counts,
        "example": next(str(i) for i in loaded.program.instructions if i.mnemonic == "contract"),
        "units": cost.units,
    }


def _same(a: tw.Program, b: tw.Program) -> bool:
    return a == b and bool((a.weights() == b.weights()).all())


def _run(loaded: tw.Executable) -> dict[str, Any]:
    """The digits that the file reads, and whether the program run serially gives the same probabilities."""
    found = PICTURE.is_file()
    pictures = tw.read_digits(PICTURE) if found else [tw.random_inputs(loaded.program)["image"][0]]
    outputs = [loaded.run(picture[None])["softmax"][0] for picture in pictures]
    again = tw.Executable(serial(loaded.program)).run(pictures[0][None])["softmax"][0]
    return {
        "input": PICTURE.name if found else "random pixels (seed 0)",
        "digits": [int(values.argmax()) for values in outputs],
        "probabilities": [float(values.max()) for values in outputs],
        "serial_outputs_equal": bool((again == outputs[0]).all()),
    }


def serial(program: tw.Program) -> tw.Program:
    """The program without overlap: control waits after every instruction, so that tokens are not needed."""
    instructions: list[tw.Instruction] = []
    for instruction in program.instructions:
        if instruction.mnemonic not in ("wait", "post"):
            instructions.append(instruction)
        if instruction.descriptor:
            instructions.append(tw.Instruction("sync"))
    return replace(program, instructions=tuple(instructions), layers=())


def _time(graph: tw.Graph, loaded: tw.Executable) -> dict[str, Any]:
    total = tw.count(graph).total
    cycles = loaded.cost.cycles
    one_by_one = total.multiplications + total.additions + sum(total.other_operations.values())
    return {
        "one_operation_per_cycle": one_by_one,
        "serial_cycles": tw.simulate(serial(loaded.program)).cycles,
        "cycles": cycles,
        "bound_cycles": loaded.cost.bound_cycles,
        "seconds": loaded.cost.seconds,
    }


def text(answer: dict[str, Any]) -> str:
    """A few lines per stage, and the time at the end."""
    stages = {**_text_of_compiler(answer), **_text_of_hardware(answer), **_text_of_run(answer)}
    width = max(map(len, stages))
    lines = []
    for name, paragraphs in stages.items():
        wrapped = [line for p in paragraphs for line in wrap(p, 100, subsequent_indent="  ")]
        lines += [f"{'' if place else name:<{width}}  {line}" for place, line in enumerate(wrapped)]
    return "\n".join([*lines, "", _text_of_time(answer["time"])])


def _text_of_compiler(a: dict[str, Any]) -> dict[str, list[str]]:
    front = a["front_end"]
    size = f"{len(front['operations'])} operations, {front['parameters']:,} parameters, {front['macs']:,} MACs:"
    groups = "one group" if a["groups"] == 1 else f"{a['groups']} groups"
    kept = f"left: {groups}; {a['bytes_kept_on_chip']:,} bytes between operations never leave the chip"
    host = ", ".join(a["host_operations"]) or "no operation; it reads the picture, starts the program, picks the digit"
    return {
        "1 front end": [size, " -> ".join(front["operations"])],
        "2 simplified": a["simplified"],
        "3 fused": [*a["fused"], kept],
        "4 scheduled": [f"host: {host}", f"accelerator: {groups}", f"first group: {a['tiling']}"],
    }


def _text_of_hardware(a: dict[str, Any]) -> dict[str, list[str]]:
    counts = ", ".join(f"{name} {times}" for name, times in sorted(a["instruction_counts"].items()))
    units = ", ".join(f"{unit} {a['units'][unit]:.0%}" for unit in ("load", "matrix", "vector", "store"))
    return {
        "5 instructions": [f"executed: {counts}", f"for instance: {a['example']}"],
        "6 hardware": [a["machine"], f"busy: {units}"],
    }


def _text_of_run(a: dict[str, Any]) -> dict[str, list[str]]:
    file, ran = a["executable"], a["run"]
    same = "equal to" if file["same_program"] else "other than"
    equal = "the same" if ran["serial_outputs_equal"] else "other"
    digits, sure = " ".join(map(str, ran["digits"])), min(ran["probabilities"])
    return {
        "7 executable": [f"digit_reader.tile, {file['bytes']:,} bytes; read back, {same} what was written"],
        "8 run": [
            f"{ran['input']} reads {digits} (the least certain with probability {sure:.4f})",
            f"the serial program gives {equal} outputs",
        ],
    }


def _text_of_time(time: dict[str, Any]) -> str:
    kinds = (
        ("one operation per cycle", "one_operation_per_cycle"),
        ("accelerator, serial", "serial_cycles"),
        ("accelerator", "cycles"),
        ("bound", "bound_cycles"),
    )
    rows = [(name, f"{time[key]:,.0f}", f"{time['one_operation_per_cycle'] / time[key]:,.1f}") for name, key in kinds]
    gain = time["serial_cycles"] / time["cycles"]
    table = tw.table(("one picture", "cycles", "speed-up"), rows)
    return f"{table}\n\n{time['seconds'] * 1e6:.2f} µs per picture; overlap alone makes it {gain:.2f} times as fast"
