"""3.1: neurons and trainable parameters of AlexNet, VGG19 and ResNet152."""

from __future__ import annotations

from typing import Any

import tilework as tw

TITLE = "Neurons and trainable parameters of AlexNet, VGG19 and ResNet152"
QUESTION = """
How many neurons and how many trainable parameters have AlexNet (as published: two towers, a picture of 227 x
227), VGG19 and ResNet152 (224 x 224), layer by layer and in total?
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

Where ResNet152's stride sits (v1: first 1 x 1, v1.5: 3 x 3) changes its neurons but not its parameters.
"""

NETWORKS = {"alexnet": None, "vgg19": None, "resnet152": 2, "resnet152_v1": 1}  # the depth of the printed table
SHOWN = ("alexnet", "vgg19", "resnet152")
PUBLISHED = (  # what, what some answers in circulation say, where ours is found, what went wrong
    ("AlexNet, parameters of the last layer", 4_087_000, ("alexnet", "fc8"), "4096 x 1000 + 1000 added up wrongly"),
    ("AlexNet, parameters", 60_955_224, ("alexnet", "parameters"), "the same slip of 10,000 in the sum"),
    ("VGG19, parameters", 138_357_104, ("vgg19", "parameters"), "close to VGG16's 138,357,544"),
    ("VGG19, neurons", 64_614_528, ("vgg19", "neurons"), "even all outputs of all layers are 31,311,312"),
)


def answer() -> dict[str, Any]:
    """Totals and layers of each network, and published figures beside them."""
    networks = {name: _network(tw.count(tw.load(name))) for name in NETWORKS}
    published = [
        {"quantity": quantity, "published": figure, "computed": _find(networks, *place), "cause": cause}
        for quantity, figure, place, cause in PUBLISHED
    ]
    return {"networks": networks, "published": published}


def _network(counted: Any) -> dict[str, Any]:
    total = counted.total
    return {
        "parameters": total.parameters,
        "trainable_parameters": total.trainable_parameters,
        "neurons": total.neurons,
        "neurons_with_input": counted.neurons_with_input,
        "layers": [
            {key: row[key] for key in ("name", "operation", "output_shape", "trainable_parameters", "neurons")}
            for row in counted.to_dict()["layers"]
        ],
    }


def _find(networks: dict[str, Any], network: str, what: str) -> int:
    """A total, or the parameters of the layer of that name."""
    found = networks[network]
    layers = {layer["name"]: layer["trainable_parameters"] for layer in found["layers"]}
    return int(found.get(what, layers.get(what, 0)))


def text(answer: dict[str, Any]) -> str:
    """The totals, the wrong figures, and a table per network."""
    keys = ("parameters", "trainable_parameters", "neurons", "neurons_with_input")
    totals = [(name, *(f"{network[key]:,}" for key in keys)) for name, network in answer["networks"].items()]
    wrong = [
        (row["quantity"], row["cause"], f"{row['published']:,}", f"{row['computed']:,}") for row in answer["published"]
    ]
    counts = {name: tw.count(tw.load(name)).grouped("layer", NETWORKS[name]) for name in SHOWN}
    return "\n\n".join(
        (
            *(str(counted) for counted in counts.values()),
            "ResNet152 is shown by block; `tilework count resnet152` prints all of its layers.",
            tw.table(("network", "parameters", "trainable", "neurons", "neurons with input"), totals),
            "Figures in circulation that are wrong:",
            tw.table(("quantity", "cause", "published", "computed"), wrong, left=2),
        )
    )
