"""5.9: mixed precision: layers in 16 bits, weights in 32."""

from __future__ import annotations

from typing import Any

import tilework as tw

TITLE = "Mixed precision: layers in 16 bits, weights in 32, a scaled loss"
QUESTION = """
Numbers of 16 bits take half of the memory, and a multiplier for them far less room. Train with layers that compute
forward and backward in float16 or bfloat16. Why are the weights kept in float32 all the same, and why is the loss
multiplied by a number before its gradient is taken? What is lost without either?
"""
NOTICE = """
float16 has 11 bits of significand but only 5 of exponent: what is below 2^-24 or so is 0. Gradients of a network
that is nearly trained are small. A loss that is multiplied by 65536 makes all of them that much larger, and dividing
them afterwards, in float32, costs no digit. If one overflows, the step is left out and the scale halved; after 2,000
steps without it is doubled: so it stays as large as it may be.

bfloat16 has the exponent of float32 and needs no scale, but its 8 bits of significand are few: next to 1 lies
1 - 1/256. An update that is less than half of that step is lost, and every following one as well: with a small
learning rate a network whose weights are bfloat16 stops to learn, long before its gradients are 0. A float32 copy of
the weights adds up what is too small for each single step.

Both take only the weights' copy in 32 bits. All products are sums of 16-bit numbers' products, made in float32.
"""
SEEDS, EPOCHS, RATE = 3, 10, 0.01
FORMATS = ("float32", "float16", "bfloat16")
VARIANTS: dict[str, dict[str, Any] | None] = {
    "float32": None,
    "float16": {"dtype": "float16"},
    "float16, no scale": {"dtype": "float16", "scale": 1.0, "every": 0},
    "float16, no master": {"dtype": "float16", "master": False},
    "bfloat16": {"dtype": "bfloat16"},
    "bfloat16, no master": {"dtype": "bfloat16", "master": False},
}
SCALES = (1, 256, 65536)
BITS, ENDS = ("significand", "exponent"), ("max", "smallest_subnormal", "eps")


def answer(seeds: int = SEEDS, epochs: int = EPOCHS) -> dict[str, Any]:
    """What the formats hold, gradients that become 0, and accuracies by seed."""
    runs = {
        name: [tw.fit(_recipe(precision), seed, epochs=epochs) for seed in range(seeds)]
        for name, precision in VARIANTS.items()
    }
    first, learnt = runs["float32"][0], _learnt()
    return {
        "data": first.source,
        "layers": list(_recipe(None)["network"]["layers"]),
        "epochs": epochs,
        "rate": RATE,
        "formats": {name: _format(name) for name in FORMATS},
        "lost": {dtype: [_lost(learnt, dtype, scale) for scale in SCALES] for dtype in FORMATS[1:]},
        "accuracy": {name: [100 * one.accuracy for one in trained] for name, trained in runs.items()},
    }


def _recipe(precision: dict[str, Any] | None) -> dict[str, Any]:
    """Plain gradient descent with a small rate, on at most 4,000 digits."""
    tables = tw.load_recipe("sparse-mlp").to_dict()
    changes = {"data": {"kind": "digits", "train": 4000}, "optimiser": {"method": "sgd", "rate": RATE}}
    return {**tables, **changes, "schedule": {}, "pruning": None, "precision": precision}


def _format(name: str) -> dict[str, Any]:
    """Bits, the largest number, the smallest above 0, and the step from 1 upwards."""
    import ml_dtypes
    import numpy as np

    about: Any = np.finfo(name) if name != "bfloat16" else ml_dtypes.finfo(name)
    bits = {"significand": about.nmant + 1, "exponent": about.bits - about.nmant - 1}
    return {**bits, **{key: float(getattr(about, key)) for key in ENDS}}


def _lost(learnt: tuple[dict[str, Any], Any, Any], dtype: str, scale: float) -> float:
    """The share of weights whose gradient isn't 0 in float32 and is in 16 bits, in a network that knows its digits."""
    import numpy as np

    weights, images, labels = learnt
    graph = tw.load("mlp", batch=len(images))
    inputs = {"x": images, "targets": np.eye(10, dtype=np.float32)[labels]}
    exact = tw.execute(tw.gradient(graph, "cross_entropy"), weights, inputs)
    halved = tw.gradient(tw.mixed_precision(graph, dtype), "cross_entropy")
    # the gradient of a cross-entropy is proportional to its targets
    found = tw.execute(halved, weights, {**inputs, "targets": inputs["targets"] * np.float32(scale)})
    names = [name for name in exact if name.startswith("d:")]
    lost = sum(np.count_nonzero((exact[name] != 0) & (found[name] == 0)) for name in names)
    return float(lost / sum(np.count_nonzero(exact[name]) for name in names))


def _learnt() -> tuple[dict[str, Any], Any, Any]:
    """Weights after a few epochs with a rate that suits, and a batch of the digits that they were trained with."""
    import numpy as np

    tables = {**_recipe(None), "optimiser": {"method": "nesterov", "rate": 0.05}, "smoothing": 0.0}
    tables["network"] = {"name": "mlp"}
    trained = tw.fit(tables, epochs=10)
    images, labels = tw.digits().train.batch(np.arange(64))
    return dict(trained.weights), images.reshape(tw.load("mlp", batch=64).inputs[0].shape), labels


def text(answer: dict[str, Any]) -> str:
    """The formats, what underflows, and the accuracies."""
    formats = [
        (name, *(str(one[part]) for part in BITS), *(f"{one[key]:.2g}" for key in ENDS))
        for name, one in answer["formats"].items()
    ]
    lost = [(name, *(f"{100 * share:.1f} %" for share in shares)) for name, shares in answer["lost"].items()]
    accuracies = [
        (name, f"{sum(found) / len(found):.1f} %", f"{min(found):.1f} to {max(found):.1f}")
        for name, found in answer["accuracy"].items()
    ]
    layers, seeds = "-".join(map(str, answer["layers"])), len(answer["accuracy"]["float32"])
    return "\n\n".join(
        (
            tw.table(("", "significand", "exponent", "largest", "smallest", "step at 1"), formats),
            "Gradients of a network that has learnt its digits which aren't 0, but become so in 16 bits:",
            tw.table(("loss times", *(f"{scale:,}" for scale in SCALES)), lost),
            f"{layers}, learning rate {answer['rate']:g}, {answer['epochs']} epochs, {seeds} seeds; {answer['data']}",
            tw.table(("layers compute in", "test digits right", "of the seeds"), accuracies),
        )
    )
