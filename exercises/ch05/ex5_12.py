"""5.12: a network of three layers that loses half of its weights while it learns."""

from __future__ import annotations

from typing import Any

import tilework as tw

TITLE = "Three layers trained from 0 % to 50 % zeros, at the same accuracy"
QUESTION = """
Train a network of three layers in NumPy, and meanwhile bring the share of zeros among the weights of each layer
from 0 % to 50 %. How much accuracy does that cost? How many bytes and how many cycles does it save on a processor
that stores weights compressed, and on one that skips their zeros as well?
"""
NOTICE = """
The share rises as 0.5 (1 - (1 - t)^3): fast first, while it is easy to see which weights don't matter and there is
time to learn without them, then ever slower. A weight that went stays 0: it is set back after each update, and its
gradient is left out, so that it leaves no trace in the momentum.

Half of the weights of such a network can go at the cost of a tenth or two of a percentage point: the interval of the
difference says how sure that is. It costs more if a trained network is pruned without training on: what is left can't
make up for what went.

Which weights go matters to the processor. If the smallest ones of a layer go wherever they are, rows differ in
length, and so would the time that they take. If each 16 that are summed one after the other keep 8, the bytes and
the cycles are known before the program runs, and the accuracy is nearly the same. A row whose last block is cut short
keeps up to 8 of it as well, so that slightly less than half of the weights go.

For one picture at a time the layers wait for their weights, and fewer bytes are what counts. For 64 at a time they
wait for the multipliers, and zeros must be skipped to save time.
"""
SEEDS, EPOCHS = 6, 15
MACHINE, BATCHES = "dlp-s", (1, 64)
KINDS = ("dense", "anywhere", "balanced")


def answer(seeds: int = SEEDS, epochs: int = EPOCHS) -> dict[str, Any]:
    """Accuracies by seed, zeros and bytes by layer, and the cycles of the network that one of the seeds gave."""
    runs = {kind: [tw.fit(_recipe(kind), seed, epochs=epochs) for seed in range(seeds)] for kind in KINDS}
    accuracies = {kind: [100 * one.accuracy for one in trained] for kind, trained in runs.items()}
    first = {kind: trained[0] for kind, trained in runs.items()}
    return {
        "data": first["dense"].source,
        "layers": list(_recipe("dense")["network"]["layers"]),
        "epochs": epochs,
        "accuracy": accuracies,
        "difference": {kind: _difference(accuracies[kind], accuracies["dense"]) for kind in KINDS[1:]},
        "pruned_afterwards": [_pruned_afterwards(one) for one in runs["dense"]],
        "stored": {kind: [_stored(one) for one in _sizes(trained)] for kind, trained in first.items()},
        "machine": MACHINE,
        "cycles": [_cycles(first["dense"], first["balanced"], batch) for batch in BATCHES],
    }


def _recipe(kind: str) -> dict[str, Any]:
    """The recipe, with its pruning as it is wanted, on at most 4,000 digits."""
    tables = tw.load_recipe("sparse-mlp").to_dict()
    pruning = None if kind == "dense" else {**tables["pruning"], "balanced": kind == "balanced"}
    return {**tables, "data": {"kind": "digits", "train": 4000}, "pruning": pruning}


def _difference(own: list[float], dense: list[float]) -> dict[str, float]:
    """The mean over seeds, with its interval, in percentage points."""
    found = tw.bootstrap_mean([a - b for a, b in zip(own, dense, strict=True)])
    return {"mean": found.value, "low": found.low, "high": found.high}


def _sizes(trained: Any) -> Any:
    return tw.stored_sizes(trained.graph, trained.weights)


def _stored(one: Any) -> dict[str, Any]:
    return {
        "layer": one.layer,
        "zeros": one.zeros / one.weights,
        "dense_bytes": one.dense_bytes,
        "compressed_bytes": one.compressed_bytes,
    }


def _pruned_afterwards(trained: Any) -> float:
    """How many of the test digits, in per cent, a dense network still reads once the compiler has pruned it."""
    import numpy as np

    made = tw.compile(trained.graph, MACHINE, dict(trained.weights), prune={"*": 0.5})
    weights = {name: made.compilation.parts[0].weights[name] for name in trained.weights}
    test = tw.digits().test
    images, labels = test.batch(np.arange(len(test.labels)))
    graph = _batched(trained.graph, len(labels))
    (found,) = tw.execute(graph, weights, {"x": images.reshape(len(labels), -1)}).values()
    return float(100 * np.mean(np.argmax(found, 1) == labels))


def _cycles(dense: Any, balanced: Any, batch: int) -> dict[str, Any]:
    """Of the same layers with all weights, with compressed ones, and with zeros that are skipped too."""
    from dataclasses import replace

    plain = tw.load_machine(MACHINE)
    skipping = replace(plain, matrix=replace(plain.matrix, zero_skipping=True))
    ways = {
        "dense": (dense, plain, 0.0),
        "compressed": (balanced, plain, 0.5),
        "zeros skipped": (balanced, skipping, 0.5),
    }
    found: dict[str, Any] = {"batch": batch}
    for name, (trained, machine, share) in ways.items():
        made = tw.compile(_batched(trained.graph, batch), machine, dict(trained.weights), prune={"*": share})
        weights = made.compilation.parts[0].weights
        same = all(bool((weights[key] == array).all()) for key, array in trained.weights.items())
        found[name] = {"cycles": made.cost.cycles, "dram_bytes": made.cost.dram_bytes, "same_weights": same}
    return found


def _batched(graph: Any, batch: int) -> Any:
    """The graph for so many pictures at a time."""
    from dataclasses import replace

    sources = [replace(one, shape=(batch, *one.shape[1:])) if one.role == "input" else one for one in graph.sources]
    return graph.replace(sources, graph.nodes, graph.outputs)


def text(answer: dict[str, Any]) -> str:
    """Accuracies, sizes and cycles."""
    seeds = len(answer["accuracy"]["dense"])
    rows = []
    for kind, found in answer["accuracy"].items():
        away = answer["difference"].get(kind)
        shown = f"{away['mean']:+.2f} ({away['low']:+.2f} to {away['high']:+.2f})" if away else ""
        rows.append((kind, f"{sum(found) / seeds:.2f} %", shown))
    late = answer["pruned_afterwards"]
    rows.append(("balanced, but only after training", f"{sum(late) / seeds:.2f} %", ""))
    stored = zip(*(answer["stored"][kind] for kind in KINDS), strict=True)
    sizes = [
        (
            one["layer"],
            *(f"{100 * share:.1f} %" for share in (anywhere["zeros"], balanced["zeros"])),
            *(f"{size:,}" for size in (one["dense_bytes"], balanced["compressed_bytes"])),
        )
        for one, anywhere, balanced in stored
    ]
    cycles = [
        (str(one["batch"]), way, f"{one[way]['cycles']:,}", f"{one[way]['dram_bytes']:,}")
        for one in answer["cycles"]
        for way in ("dense", "compressed", "zeros skipped")
    ]
    layers = "-".join(map(str, answer["layers"]))
    return "\n\n".join(
        (
            f"{layers}, {answer['epochs']} epochs, means of {seeds} seeds; {answer['data']}",
            tw.table(("zeros", "test digits right", "difference, points (95 % interval)"), rows),
            tw.table(("layer", "zeros anywhere", "zeros balanced", "bytes, dense", "bytes, compressed"), sizes),
            f"On {answer['machine']}, with the weights of the first seed:",
            tw.table(("pictures at a time", "weights", "cycles", "DRAM bytes"), cycles),
        )
    )
