"""An epoch of training in NumPy and in PyTorch: the same networks, batches, loss and updates, in one process.

    python benchmarks/training.py [--threads 1] [--turns 9] [--steps 60]

Each side first runs an epoch that isn't timed; then they take turns (A B A B …). An epoch is forward pass, mean
cross-entropy, backward pass and an update by plain gradient descent for each batch of 64 images, which are random, as
their values don't matter to the time. Shown are medians of the turns, and the median of the turns' ratios; of one
thread the processor's time, so that other processes disturb less, of several the wall clock's. Both must end with the
same loss.
"""

from __future__ import annotations

import os
from argparse import ArgumentParser
from collections.abc import Callable
from statistics import median
from time import perf_counter, process_time
from typing import Any

RATE, BATCH = 0.01, 64


def layers(torch: Any, name: str) -> Any:
    """The zoo's networks as modules; parameters come in the zoo's order."""
    nn = torch.nn
    if name == "mlp":
        return nn.Sequential(nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10))
    convolutions = (
        (nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        (
            nn.Conv2d(6, 16, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ),
    )
    linears = nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)
    return nn.Sequential(*convolutions[0], *convolutions[1], nn.Flatten(), *linears)


def sides(name: str, steps: int) -> tuple[Callable[[], float], Callable[[], float]]:
    """Functions that train for an epoch and give the last loss: ours and PyTorch's, from the same weights."""
    import numpy as np
    import torch

    from tilework.frontend.zoo import network
    from tilework.train.initial import initial_weights
    from tilework.train.optimisers import Optimiser
    from tilework.train.parameters import Parameters
    from tilework.train.step import TrainingStep

    graph = network(name, BATCH)
    parameters = Parameters(graph, initial_weights(graph))
    module = layers(torch, name)
    with torch.no_grad():
        for theirs, ours in zip(module.parameters(), parameters.arrays.values(), strict=True):
            theirs.copy_(torch.from_numpy(ours))
    generator = np.random.default_rng(0)
    images = generator.standard_normal((steps, *graph.inputs[0].shape)).astype(np.float32)
    labels = generator.integers(0, 10, (steps, BATCH))
    targets = np.eye(10, dtype=np.float32)[labels]
    step, optimiser = TrainingStep(graph, parameters), Optimiser("sgd", parameters)
    descent = torch.optim.SGD(module.parameters(), lr=RATE)
    batches = [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in zip(images, labels, strict=True)]

    def ours() -> float:
        for x, y in zip(images, targets, strict=True):
            loss = step(x, y)
            optimiser.update(RATE)
        return loss

    def theirs() -> float:
        for x, y in batches:
            descent.zero_grad()
            loss = torch.nn.functional.cross_entropy(module(x), y)
            loss.backward()
            descent.step()
        return loss.item()

    return ours, theirs


def timed(epoch: Callable[[], float], clock: Callable[[], float]) -> tuple[float, float]:
    start = clock()
    loss = epoch()
    return clock() - start, loss


def main() -> None:
    """Print a Markdown table."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--steps", type=int, default=60)
    options = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(options.threads)
    import torch

    torch.set_num_threads(options.threads)
    clock = process_time if options.threads == 1 else perf_counter
    print("| network | Tilework, ms a step | PyTorch, ms a step | ratio | goal |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, goal in (("mlp", 1.0), ("lenet5", 2.0)):
        ours, theirs = sides(name, options.steps)
        ours(), theirs()
        turns = [(timed(ours, clock), timed(theirs, clock)) for _ in range(options.turns)]
        for (_, own), (_, other) in turns:
            if abs(own - other) > 1e-2 * abs(other):
                raise SystemExit(f"both must have the same loss, not {own} and {other}")
        milliseconds = [1000 / options.steps * median(side[k][0] for side in turns) for k in (0, 1)]
        ratio = median(own[0] / other[0] for own, other in turns)
        print(f"| {name} | {milliseconds[0]:.2f} | {milliseconds[1]:.2f} | {ratio:.2f} | ≤ {goal:.0f} |")


if __name__ == "__main__":
    main()
