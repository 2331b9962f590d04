"""5.2: a static and a dynamic graph: the same network both ways, its time and memory."""

from __future__ import annotations

from typing import Any

import tilework as tw

TITLE = "A static and a dynamic graph: the same network both ways"
QUESTION = """
A framework may take the whole graph first and run it many times, or run each operation as the program comes to
it and remember what ran. Train the same network both ways from the same weights. Are the numbers the same? What
does each need in time and memory, and what can only one of them do?
"""
NOTICE = """
The numbers are the same up to the rounding of sums that are added in another order.

The static graph knows before the first step who reads which value last. So every value gets its place in memory
once, values that nobody reads any more make room for others, an activation is written over what it was computed
from, and copies that only move data are left out. It also knows which values meet in a product, and lays the
batch innermost, where a convolution's windows are long stretches of memory. A step then is a list of calls of
NumPy whose arguments are ready.

The dynamic graph knows nothing ahead: each step finds out shapes and strides anew, and keeps every value until
the backward pass has gone by, since it can't tell which of them that will read.

What it can do instead is follow values: how often a loop runs may depend on what the loop computes. A static
graph of Newton's method has a number of steps that was fixed before; this one stops when it is right, and its
gradient goes back through as many steps as there were. And an error shows in the line that made it.
"""
BATCH, RATE, STEPS, TURNS = 64, 0.05, 4, 15


def answer() -> dict[str, Any]:
    """Losses of both ways, how far their weights differ in the end, peak memory, the processor's time."""
    static, dynamic = _traced(Static), _traced(Dynamic)
    weights, own = static["weights"], dynamic["weights"]
    return {
        "network": "lenet5",
        "batch": BATCH,
        "static_losses": static["losses"],
        "dynamic_losses": dynamic["losses"],
        "largest_difference": max(float(abs(weights[name] - own[name]).max()) for name in weights),
        "static_megabytes": static["megabytes"],
        "dynamic_megabytes": dynamic["megabytes"],
        "milliseconds": _times(),
        "newton": [_newton(number) for number in (2.0, 9.0, 10_000.0)],
    }


def _data() -> tuple[tw.Graph, dict[str, Any], Any, Any]:
    """The network, its weights, and a batch of images with a target for each."""
    import numpy as np

    graph = tw.load("lenet5", batch=BATCH)
    weights = {name: array.copy() for name, array in tw.find_weights(graph, "", seed=0).items()}
    generator = np.random.default_rng(0)
    images = generator.standard_normal((BATCH, 1, 28, 28)).astype(np.float32)
    return graph, weights, images, np.eye(10, dtype=np.float32)[generator.integers(0, 10, BATCH)]


class Static:
    """Steps of an engine, bound once."""

    def __init__(self) -> None:
        graph, self.weights, image, targets = _data()
        self.engine = tw.Engine(tw.gradient(graph, "cross_entropy"), self.weights)
        self.inputs = {"image": image, "targets": targets}

    def step(self) -> float:
        found = self.engine.run(self.inputs)
        for name, array in self.weights.items():
            array -= RATE * found[f"d:{name}"]
        return float(found["loss"])


class Dynamic:
    """Steps whose operations run one by one."""

    def __init__(self) -> None:
        _, self.weights, self.images, self.targets = _data()
        self.variables = {name: tw.Variable(array, trainable=True) for name, array in self.weights.items()}

    def step(self) -> float:
        run, w = tw.eager, self.variables
        x: Any = self.images
        for layer, padding in (("conv1", 2), ("conv2", 0)):
            x = run.relu(run.conv2d(x, w[f"{layer}.weight"], w[f"{layer}.bias"], padding=(padding, padding)))
            x = run.max_pool2d(x, kernel=(2, 2), stride=(2, 2))
        x = run.flatten(x)
        for layer in ("fc1", "fc2", "fc3"):
            x = run.linear(x, w[f"{layer}.weight"], w[f"{layer}.bias"])
            x = x if layer == "fc3" else run.relu(x)
        loss = run.reduce(run.log_softmax(x, axis=1) * self.targets) * (-1 / BATCH)
        loss.backward()
        for variable in w.values():
            assert variable.gradient is not None
            variable.value -= RATE * variable.gradient
        return float(loss.value)


def _traced(build: Any) -> dict[str, Any]:
    """What some steps give, and the most memory that they hold at a time, weights and inputs included.

    In a thread of their own, as the arrays that NumPy's part keeps for its own use are kept for each thread.
    """
    import tracemalloc
    from concurrent.futures import ThreadPoolExecutor

    def steps() -> dict[str, Any]:
        tracemalloc.start()
        one = build()
        losses = [one.step() for _ in range(STEPS)]
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return {"losses": losses, "weights": one.weights, "megabytes": round(peak / 1e6, 1)}

    build().step()  # plans that are kept are made here
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(steps).result()


def _times() -> dict[str, float]:
    """Medians, in milliseconds of the processor's time, of building the engine and of a step each way, in turns."""
    from statistics import median
    from time import process_time

    def timed(work: Any) -> float:
        start = process_time()
        work()
        return 1000 * (process_time() - start)

    static, dynamic = Static(), Dynamic()
    static.step(), dynamic.step()
    turns = [(timed(Static), timed(static.step), timed(dynamic.step)) for _ in range(TURNS)]
    sides = zip(("static_build", "static_step", "dynamic_step"), zip(*turns, strict=True), strict=True)
    return {side: round(median(times), 1) for side, times in sides}


def _newton(number: float) -> dict[str, float]:
    """The square root by Newton's method, as many steps as it takes, and its derivative through all of them."""
    import numpy as np

    a = tw.Variable(number, trainable=True)
    x, steps = a, 0
    while abs(x.value**2 - number) > 1e-9 * number:
        x, steps = (x + a / x) * 0.5, steps + 1
    x.backward()
    return {"number": number, "steps": steps, "root": x.value.item(), "slope": np.asarray(a.gradient).item()}


def text(answer: dict[str, Any]) -> str:
    """The losses, what each way needs, and what depends on values."""
    times = answer["milliseconds"]
    losses = [
        (f"{step}", f"{a:.6f}", f"{b:.6f}")
        for step, (a, b) in enumerate(zip(answer["static_losses"], answer["dynamic_losses"], strict=True), 1)
    ]
    needs = [
        ("a step, ms", f"{times['static_step']:.1f}", f"{times['dynamic_step']:.1f}"),
        ("before the first step, ms", f"{times['static_build']:.0f}", "0"),
        ("memory, MB", f"{answer['static_megabytes']:.0f}", f"{answer['dynamic_megabytes']:.0f}"),
    ]
    roots = [
        (f"{one['number']:g}", str(one["steps"]), f"{one['root']:.6f}", f"{one['slope']:.6f}")
        for one in answer["newton"]
    ]
    return "\n\n".join(
        (
            f"{answer['network']}, batches of {answer['batch']}",
            tw.table(("step", "loss, static", "loss, dynamic"), losses),
            f"After these steps no weight differs by more than {answer['largest_difference']:.0e}.",
            tw.table(("", "static", "dynamic"), needs),
            "Times are the processor's; memory holds weights and inputs too.",
            tw.table(("number", "steps", "its root", "slope of the root"), roots),
            "The loop runs as long as the value needs, and the gradient goes back through as many steps.",
        )
    )
