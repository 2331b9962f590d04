"""The error of predicted times: networks of the zoo in ONNX Runtime on this machine, with one thread.

python benchmarks/measure.py                     the table of docs/measure.md
python benchmarks/measure.py resnet18 --every 1  other networks; the machine is measured before each

The machine is measured again before every few networks, so that both see the same load. The error is that of the sum
of the layers' predictions beside what the processor worked in a whole run, the median of 20, which other work on the
machine disturbs less than the time that passed; of single layers the fastest run counts.
"""

from __future__ import annotations

import argparse
import os
from statistics import median

import tilework as tw
from tilework.cost.measured import Measured
from tilework.plain import percent, quantity

NETWORKS = (
    *("mlp", "lenet5", "alexnet", "alexnet_torchvision", "vgg11", "resnet18", "resnet50", "mobilenet_v2"),
    *("unet", "encoder", "lstm"),
)
RUNS = 20


def main() -> None:
    """Measure, and print a Markdown table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("networks", nargs="*", default=NETWORKS)
    arguments.add_argument("--every", type=int, default=4, help="networks for each measurement of the machine")
    asked = arguments.parse_args()
    print("| network | whole run | of it the processor | layers | at least | predicted | error of the bound | error |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    errors: list[float] = []
    flat: list[float] = []
    layers: list[float] = []
    for place, network in enumerate(asked.networks):
        if place % asked.every == 0:
            machine = tw.measure_machine(threads=1)
        found = tw.measure(network, on=machine, threads=1, runs=RUNS)
        seconds = sum(part.fastest_seconds for part in found.parts)
        worked = found.processor_seconds
        bound, predicted = found.bound_seconds / worked - 1, (found.predicted_seconds or 0.0) / worked - 1
        errors, flat, layers = [*errors, abs(predicted)], [*flat, abs(bound)], [*layers, *layer_errors(found)]
        cells = (network, *(quantity(value, "s") for value in times(found, seconds)), signed(bound), signed(predicted))
        print(f"| {' | '.join(cells)} |", flush=True)
    print(f"\nThe median error is {percent(median(errors))}, the worst {percent(max(errors))};")
    print(f"of the bound {percent(median(flat))} and {percent(max(flat))}.")
    print(f"Of single layers above 1 % of their network's time the median is {percent(median(layers))}.")
    print(f"Load of the machine: {', '.join(f'{load:.1f}' for load in os.getloadavg())}")


def times(found: Measured, seconds: float) -> tuple[float, ...]:
    """The columns of seconds."""
    return (found.seconds, found.processor_seconds, seconds, found.bound_seconds, found.predicted_seconds or 0.0)


def layer_errors(found: Measured) -> list[float]:
    """Of the parts that take more than a hundredth of the time."""
    least = sum(part.fastest_seconds for part in found.parts) / 100
    known = [part for part in found.parts if part.fastest_seconds > least and part.predicted_seconds is not None]
    return [abs((part.predicted_seconds or 0.0) / part.fastest_seconds - 1) for part in known]


def signed(error: float) -> str:
    return f"{'+' if error > 0 else '−'}{percent(abs(error))}"


if __name__ == "__main__":
    main()
