"""6.5: an instruction set for deep learning, and a convolutional network written in it by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tilework as tw

TITLE = "An instruction set for deep learning, and a convolutional network written in it"
QUESTION = """
Which instructions does a deep learning processor need? State the set, and write a convolutional network in
it: a convolution with bias and ReLU, a maximum pooling, a fully connected layer. Show that it computes what
it should, and how long it takes.
"""
NOTICE = """
One `contract` is a whole tile of a convolution, because its operands are affine in up to eight loops: no
address arithmetic, no branch. So control issues an instruction per cycle and never holds up the units.

Load, matrix and vector unit work at the same time, each through its own queue; eight tokens say what must
wait for what. In the timeline the weights of the last layer (pc 24) arrive while the convolution (pc 13)
still runs, and bias, ReLU and pooling (pc 17 to 19) of one tile hide behind the convolution of the next.

The compiler's program runs one layer after the other and sends the pooled image through DRAM and back; by
hand it stays on the chip. What moves more than it must are the tiles: each loads 4 rows of the image for 2
rows of output, 1,024 bytes in all beyond the image itself.

The bound is the DRAM's: 7,408 bytes at 64 per cycle. The program is held up by the matrix unit instead, for
which the shapes don't fit: it makes 16 neurons of 16 synapses per cycle, but 8 filters fill half of its
neurons, and 3 x 3 x 4 = 36 products take three cycles that would have room for 48. That is three eighths of
the peak before anything waits. Can you fill the other half, by computing two rows of the image at once?
"""

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "convnet.s"
NETWORK = """
graph convnet
input image float32[1,4,8,8]
parameter conv.weight float32[8,4,3,3]
parameter conv.bias float32[8]
parameter fc.weight float32[10,128]
parameter fc.bias float32[10]
conv = conv2d(image, conv.weight, conv.bias, padding=[1,1])
relu = relu(conv)
pool = max_pool2d(relu, kernel=[2,2], stride=[2,2])
flatten = flatten(pool)
fc = linear(flatten, fc.weight, fc.bias)
output fc
"""
IMAGE, RESULT, DRAM_BYTES = 0x1980, 0x1E00, 0x1E28  # where examples/convnet.s has them


def answer() -> dict[str, Any]:
    """The table of instructions; the program, its values and the network's, its time beside bound and compiler."""
    graph = tw.parse_graph(NETWORK)
    weights = tw.find_weights(graph, "", seed=0)
    program = by_hand(graph, weights)
    inputs = tw.random_inputs(program)
    values = tw.Executable(program).run(inputs["image"])["fc"]
    wanted = tw.execute(graph, weights, inputs)["fc"]
    return {
        "instructions": [_row(opcode) for opcode in tw.OPCODES.values()],
        "program": EXAMPLE.read_text("utf-8"),
        "values": values[0].tolist(),
        "values_of_the_network": wanted[0].tolist(),
        "max_abs_error": float(abs(values - wanted).max()),
        "unordered_conflicts": len(tw.find_races(program)),
        **_times(program, tw.compile(graph, program.machine, weights).program),
        "timeline": tw.gantt(tw.events(program)),
        "places": _places(program),
    }


def _row(opcode: Any) -> dict[str, str]:
    return {key: getattr(opcode, key) for key in ("mnemonic", "unit", "meaning", "cycles")}


def by_hand(graph: tw.Graph, weights: Any) -> tw.Program:
    """The program of examples/convnet.s with the network's weights and its place in DRAM."""
    packed = pack(weights)
    instructions = tw.parse_program(EXAMPLE.read_text("utf-8"))
    counted = tw.count(graph).total
    moved = counted.parameter_bytes + sum(4 * graph.tensors[name].elements for name in ("image", "fc"))
    return tw.Program(
        name="convnet by hand",
        machine=tw.load_machine("dlp-s"),
        instructions=instructions,
        inputs=(tw.Port("image", (1, 4, 8, 8), IMAGE, (0, 2, 3, 1)),),
        outputs=(tw.Port("fc", (1, 10), RESULT, (0, 1)),),
        layers=(tw.Layer("convnet", "all", 0, len(instructions), counted.macs, moved),),
        weight_bytes=packed.nbytes,
        dram_bytes=DRAM_BYTES,
        weights=lambda: packed,
    )


def pack(weights: Any) -> Any:
    """The weights' bytes in the program's order, in which the channels of a pixel lie next to each other."""
    import numpy as np

    filters = weights["conv.weight"].transpose(0, 2, 3, 1)
    matrix = weights["fc.weight"].reshape(10, 8, 4, 4).transpose(0, 2, 3, 1)
    parts = (filters, weights["conv.bias"], matrix, weights["fc.bias"])
    return np.concatenate([part.ravel() for part in parts]).view(np.uint8)


def _times(program: tw.Program, compiled: tw.Program) -> dict[str, Any]:
    cost = tw.simulate(program)
    return {
        "cycles": cost.cycles,
        "bound_cycles": cost.bound_cycles,
        "compiled_cycles": tw.simulate(compiled).cycles,
        "macs": cost.macs,
        "dram_bytes": cost.dram_bytes,
        "busy_cycles": {unit: cost.busy_cycles[unit] for unit in ("load", "store", "matrix", "vector", "channel")},
    }


def _places(program: tw.Program) -> dict[str, list[str]]:
    """By unit, the place (pc) and the mnemonic of each instruction that takes time on it."""
    found: dict[str, list[str]] = {}
    for pc, instruction in enumerate(program.instructions):
        if instruction.descriptor:
            found.setdefault(tw.OPCODES[instruction.mnemonic].unit, []).append(f"{pc} {instruction.mnemonic}")
    return found


def text(answer: dict[str, Any]) -> str:
    """The instruction set, the program, its values, its time and its timeline."""
    rows = [(row["mnemonic"], row["unit"], row["meaning"]) for row in answer["instructions"]]
    return "\n\n".join(
        (
            f"The instruction set, {len(rows)} instructions (docs/processor.md has their cycles and encoding):",
            tw.table(("mnemonic", "queue", "meaning"), rows, left=3),
            "The network, examples/convnet.s:",
            answer["program"].strip(),
            _values(answer),
            _time(answer),
            f"Timeline; a digit is the last one of the place (pc) of the instruction at work:\n{answer['timeline']}",
            "\n".join(f"{unit:<7}  {', '.join(places)}" for unit, places in answer["places"].items()),
        )
    )


def _values(answer: dict[str, Any]) -> str:
    kinds = (("processor", "values"), ("NumPy", "values_of_the_network"))
    rows = [(name, *(f"{value:.4f}" for value in answer[key])) for name, key in kinds]
    head = ("outputs", *map(str, range(len(answer["values"]))))
    races = answer["unordered_conflicts"] or "none"
    error = f"largest difference {answer['max_abs_error']:.1e}; conflicts that no queue or token orders: {races}"
    return f"{tw.table(head, rows)}\n{error}"


def _time(answer: dict[str, Any]) -> str:
    bound = answer["bound_cycles"]
    kinds = (("by hand", "cycles"), ("compiled", "compiled_cycles"), ("bound", "bound_cycles"))
    rows = [(name, f"{answer[key]:,.0f}", f"{answer[key] / bound:.2f}") for name, key in kinds]
    shares = (f"{unit} {cycles / answer['cycles']:.0%}" for unit, cycles in answer["busy_cycles"].items())
    work = f"{answer['macs']:,} MACs, {answer['dram_bytes']:,} DRAM bytes; busy by hand: {', '.join(shares)}"
    return f"{tw.table(('program', 'cycles', 'of the bound'), rows)}\n{work}"
