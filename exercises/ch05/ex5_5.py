"""5.5: how an operation and its gradient are registered: sin and maximum pooling."""

from __future__ import annotations

from typing import Any

import tilework as tw

TITLE = "Registering an operation and its gradient: sin and maximum pooling"
QUESTION = """
A framework lets users add operations. What must be stated for sin, and for a maximum pooling of 2 x 2 windows,
so that both can be used in networks and trained?
"""
NOTICE = """
Other frameworks want a function for the value, one for the gradient, one for the shape, and a kernel of each
for every device. Here an operation states once what it computes, as loops over one statement, and everything
else is read off that: the shape, the counts, the values, the gradient, the program for the processor and its
cycles.

What a function passes back is derived by the chain rule: cos(x) for sin. For a maximum it is what arrives, at
the places that equal the maximum; ties share it, which takes two small nests more. Writing to the places where
it was read needs no rule of its own, because the index of the read becomes that of the write.

A gradient may be stated too, where somebody knows a simpler one. The pooling's stated one here compares and
doesn't count ties, which is right as long as no two places are equal; a check by differences cannot tell the
two apart.
"""

SHAPE = (2, 8, 16, 16)
SINE = "sin(x)"


def answer() -> dict[str, Any]:
    """Both operations registered, and what is read off each statement."""
    tw.activation("exercise_sine", SINE)
    tw.operation("x")(exercise_max_pool)
    tw.operation("x")(exercise_max_pool_stated)
    names = ("exercise_sine", "exercise_max_pool", "exercise_max_pool_stated")
    return {"shape": list(SHAPE), "operations": [_read(name) for name in names]}


def exercise_max_pool(s: dict[str, tuple[int, ...]], window: int = 2) -> tw.Expansion:
    """The largest of each window; x [N, C, H, W]."""
    n, c, h, w = s["x"]
    shape = (n, c, h // window, w // window)
    loops = f"n<{n} c<{c} p<{shape[2]} q<{shape[3]} r<{window} s<{window}"
    return tw.Expansion(shape, (tw.parse_nest(f"{loops}: o[n,c,p,q] max= x[n,c,{window}*p+r,{window}*q+s]"),))


def exercise_max_pool_stated(s: dict[str, tuple[int, ...]], window: int = 2) -> tw.Expansion:
    """The same with a gradient of its own."""
    found = exercise_max_pool(s, window)
    loops = " ".join(f"{name}<{extent}" for name, extent in found.nests[0].loops)
    place = f"[n,c,{window}*p+r,{window}*q+s]"
    passed = f"select(equal(x{place}, o[n,c,p,q]), d:o[n,c,p,q], 0)"
    return tw.Expansion(found.shape, found.nests, gradient=(tw.parse_nest(f"{loops}: d:x{place} = {passed}"),))


def _read(name: str) -> dict[str, Any]:
    import numpy as np

    graph = _network(name, SHAPE)
    both = tw.gradient(graph, wanted=["x"])
    backward = [str(nest) for node in both.nodes[2:] for nest in both.nests(node)]
    x = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
    small = _network(name, (1, 2, 4, 4))
    slope, differences = tw.check_gradient(small, {"x": x[:1, :2, :4, :4]}, wanted=["x"])["x"]
    wanted = tw.execute(both, {}, {"x": x})
    executable = tw.compile(both, "dlp-s")
    found = executable.run(x=x)
    forward, whole = tw.count(graph).total, tw.count(both).total
    return {
        "name": name.removeprefix("exercise_"),
        "forward": str(graph.nests(graph.nodes[0])[0]),
        "backward": backward,
        "output_shape": list(graph.tensors["y"].shape),
        "operations_forward": dict(forward.other_operations),
        "operations_both": dict(whole.other_operations),
        "slopes": slope.tolist(),
        "from_differences": float(np.abs(slope - differences).max()),
        "cycles_forward": tw.compile(graph, "dlp-s").cost.cycles,
        "cycles_both": executable.cost.cycles,
        "from_execution": max(float(np.abs(found[key] - value).max()) for key, value in wanted.items()),
    }


def _network(name: str, shape: tuple[int, ...]) -> tw.Graph:
    builder = tw.GraphBuilder("one")
    return builder.graph(builder.node("y", name, builder.input("x", shape)))


def text(answer: dict[str, Any]) -> str:
    """The statements and what follows from them."""
    parts = [f"Stated:\n  sin       tw.activation({'sine'!r}, {SINE!r})"]
    parts[0] += "\n  max pool  a function that gives this nest, under @tw.operation('x')"
    for one in answer["operations"]:
        lines = [f"{one['name']}, forward and backward:", f"  {one['forward']}", *(f"  {n}" for n in one["backward"])]
        parts.append("\n".join(lines))
    rows = [
        (
            one["name"],
            " x ".join(map(str, one["output_shape"])),
            _work(one["operations_forward"]),
            f"{one['from_differences']:.0e}",
            f"{one['cycles_forward']:,}",
            f"{one['cycles_both']:,}",
            f"{one['from_execution']:.0e}",
        )
        for one in answer["operations"]
    ]
    heads = ("operation", "output", "forward", "slope from diff.", "cycles", "and backward", "off by")
    shape = " x ".join(map(str, answer["shape"]))
    parts += [f"For x of {shape}, on dlp-s; `off by` compares the processor with NumPy:", tw.table(heads, rows, left=3)]
    return "\n\n".join(parts)


def _work(operations: dict[str, int]) -> str:
    return ", ".join(f"{number:,} {kind}" for kind, number in operations.items())
