"""3.1: neurons and trainable parameters of AlexNet, VGG19 and ResNet152."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import tilework as tw

TITLE = "Neurons and trainable parameters of AlexNet, VGG19 and ResNet152"
QUESTION = """
How many neurons and how many trainable parameters have AlexNet (as published: two towers, a picture of 227 x
227), VGG19 and ResNet152 (224 x 224), layer by layer and in total? And how many for N pictures of H x W pixels?
`tilework exercise 3.1 --network NETWORK` answers the same for any network.
"""
NOTICE = """
A neuron is one output of a convolution or of a fully connected layer. Whether the pixels of the input are
neurons too is a matter of definition, so both totals are given; a figure without its definition cannot be
checked.

Neurons and parameters live in different places. In AlexNet and VGG19 most neurons are in the first
convolutions, where the images are large, and most parameters in the fully connected layers. ResNet152, with
one small fully connected layer, is 19 times as deep as AlexNet and has fewer parameters.

Batch normalisation has a scale and a shift per channel that are trained, and a mean and a variance that are
not: those are buffers and no parameters.

A formula holds for the sizes that it names: with five halvings, for H and W that are multiples of 32. Parameters
do not depend on the picture, so a network whose first fully connected layer reads the last images pixel by pixel,
such as AlexNet, takes pictures of one size alone, and its formulas have N only.

Where ResNet152's stride sits (v1: first 1 x 1, v1.5: 3 x 3) changes its neurons but not its parameters.
"""

NETWORKS = ("alexnet", "vgg19", "resnet152", "resnet152_v1")
DEPTHS = {"resnet152": 2}  # of the printed table
NOT_SHOWN = ("resnet152_v1",)
TOTALS = ("parameters", "trainable_parameters", "neurons", "neurons_with_input")
PUBLISHED = (  # what, what some answers in circulation say, where ours is found, what went wrong
    ("AlexNet, parameters of the last layer", 4_087_000, ("alexnet", "fc8"), "4096 x 1000 + 1000 added up wrongly"),
    ("AlexNet, parameters", 60_955_224, ("alexnet", "parameters"), "the same slip of 10,000 in the sum"),
    ("VGG19, parameters", 138_357_104, ("vgg19", "parameters"), "close to VGG16's 138,357,544"),
    ("VGG19, neurons", 64_614_528, ("vgg19", "neurons"), "even all outputs of all layers are 31,311,312"),
)


def answer(networks: Iterable[str] = NETWORKS) -> dict[str, Any]:
    """Totals, formulas and layers of each network, and published figures beside them."""
    found = {name: _network(name) for name in networks}
    published = [
        {"quantity": quantity, "published": figure, "computed": _find(found[place[0]], place[1]), "cause": cause}
        for quantity, figure, place, cause in PUBLISHED
        if place[0] in found
    ]
    return {"networks": found, "published": published}


def _network(name: str) -> dict[str, Any]:
    counted = tw.count(name)
    return {
        **{key: getattr(counted.total, key) for key in TOTALS[:-1]},
        "neurons_with_input": counted.neurons_with_input,
        "formulas": _formulas(name),
        "layers": [
            {key: row[key] for key in ("name", "operation", "output_shape", "trainable_parameters", "neurons")}
            for row in counted.to_dict()["layers"]
        ],
    }


def _formulas(name: str) -> dict[str, str]:
    """For N inputs, pictures of H x W if the network takes others than its usual ones."""
    shape = tw.load(name).inputs[0].shape
    try:
        found = tw.formulas(name, (*shape[1:-2], "H", "W"), batch="N")
    except tw.NetworkError:
        found = tw.formulas(name, batch="N")
    totals = {key: str(found.totals[key]) for key in TOTALS}
    return totals | {"valid for": str(found.totals["neurons"].domain)}


def _find(found: dict[str, Any], what: str) -> int:
    """A total, or the parameters of the layer of that name."""
    layers = {layer["name"]: layer["trainable_parameters"] for layer in found["layers"]}
    return int(found.get(what, layers.get(what, 0)))


def text(answer: dict[str, Any]) -> str:
    """A table per network, the totals, the formulas, and the wrong figures."""
    networks = answer["networks"]
    head = ("network", "parameters", "trainable", "neurons", "neurons with input")
    totals = [(name, *(f"{network[key]:,}" for key in TOTALS)) for name, network in networks.items()]
    formulas = [
        (f"{name}: {key.replace('_', ' ')}", formula)
        for name, network in networks.items()
        for key, formula in network["formulas"].items()
        if key != "trainable_parameters"
    ]
    shown = [name for name in networks if name not in NOT_SHOWN]
    parts = [str(tw.count(name).grouped("layer", DEPTHS.get(name))) for name in shown]
    if "resnet152" in networks:
        parts.append("ResNet152 is shown by block; `tilework count resnet152` prints all of its layers.")
    parts += [tw.table(head, totals), tw.table(("as a formula", ""), formulas, left=2)]
    return "\n\n".join((*parts, *_wrong(answer["published"])))


def _wrong(published: list[dict[str, Any]]) -> list[str]:
    rows = [(row["quantity"], row["cause"], f"{row['published']:,}", f"{row['computed']:,}") for row in published]
    table = tw.table(("quantity", "cause", "published", "computed"), rows, left=2)
    return ["Figures in circulation that are wrong:", table] if rows else []
