"""Exercises 3.1 and 3.2 against the networks' published layers, written down here once more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import prod
from typing import Any

import pytest

from tilework.commands.exercise import load_exercise

Answer = dict[str, Any]


@dataclass(frozen=True)
class Layer:
    """A weighted layer: filters, channels that each reads, kernel, output and input side, stride, padding, bias."""

    filters: int
    channels: int
    kernel: int = 1
    side: int = 1
    source: int = 1
    stride: int = 1
    padding: int = 0
    bias: bool = True

    @property
    def neurons(self) -> int:
        return self.filters * self.side**2

    @property
    def parameters(self) -> int:
        return self.filters * (self.channels * self.kernel**2 + self.bias)

    @property
    def multiplications(self) -> int:
        return self.neurons * self.channels * self.kernel**2

    @property
    def additions(self) -> int:
        return self.multiplications - (0 if self.bias else self.neurons)

    @property
    def inside(self) -> int:
        """The multiplications that read no padding."""
        reads = (self.stride * p + r - self.padding for p in range(self.side) for r in range(self.kernel))
        return self.filters * self.channels * sum(0 <= place < self.source for place in reads) ** 2


ALEXNET = [
    Layer(96, 3, 11, 55, 227, 4),
    Layer(256, 48, 5, 27, 27, 1, 2),
    Layer(384, 256, 3, 13, 13, 1, 1),
    Layer(384, 192, 3, 13, 13, 1, 1),
    Layer(256, 192, 3, 13, 13, 1, 1),
    Layer(4096, 9216),
    Layer(4096, 4096),
    Layer(1000, 4096),
]


def vgg19() -> list[Layer]:
    widths = [64] * 2 + [128] * 2 + [256] * 4 + [512] * 8
    sides = [224] * 2 + [112] * 2 + [56] * 4 + [28] * 4 + [14] * 4
    convolutions = [
        Layer(filters, channels, 3, side, side, 1, 1)
        for (channels, filters), side in zip(pairwise([3, *widths]), sides, strict=True)
    ]
    return [*convolutions, Layer(4096, 25088), Layer(4096, 4096), Layer(1000, 4096)]


def resnet152(stride_in_1x1: bool = False) -> list[Layer]:
    layers = [Layer(64, 3, 7, 112, 224, 2, 3, bias=False)]
    channels, before = 64, 56
    for width, side, blocks in ((64, 56, 3), (128, 28, 8), (256, 14, 36), (512, 7, 3)):
        for block in range(blocks):
            stride = before // side
            middle = side if stride_in_1x1 else before
            first = stride if stride_in_1x1 else 1
            layers.append(Layer(width, channels, 1, middle, before, first, bias=False))
            layers.append(Layer(width, width, 3, side, middle, stride // first, 1, bias=False))
            layers.append(Layer(4 * width, width, 1, side, side, bias=False))
            if block == 0:
                layers.append(Layer(4 * width, channels, 1, side, before, stride, bias=False))
            channels, before = 4 * width, side
    return [*layers, Layer(1000, 2048)]


NETWORKS = {
    "alexnet": ALEXNET,
    "vgg19": vgg19(),
    "resnet152": resnet152(),
    "resnet152_v1": resnet152(stride_in_1x1=True),
}
SIDES = {"alexnet": 227, "vgg19": 224, "resnet152": 224, "resnet152_v1": 224}


def channels_normalised(name: str) -> int:
    return sum(layer.filters for layer in NETWORKS[name] if not layer.bias)


@pytest.mark.parametrize("name", NETWORKS)
def test_neurons_and_parameters(name: str, answer_to: Callable[[str], Answer]) -> None:
    network = answer_to("3.1")["networks"][name]
    layers = NETWORKS[name]
    parameters = sum(layer.parameters for layer in layers) + 2 * channels_normalised(name)
    assert network["parameters"] == network["trainable_parameters"] == parameters
    assert network["neurons"] == sum(layer.neurons for layer in layers)
    assert network["neurons_with_input"] == network["neurons"] + 3 * SIDES[name] ** 2
    weighted = [row for row in network["layers"] if row["neurons"]]
    assert [row["neurons"] for row in weighted] == [layer.neurons for layer in layers]
    assert [row["trainable_parameters"] for row in weighted] == [layer.parameters for layer in layers]


def test_the_totals_that_were_asked_for(answer_to: Callable[[str], Answer]) -> None:
    networks = answer_to("3.1")["networks"]
    totals = {name: (network["parameters"], network["neurons"]) for name, network in networks.items()}
    assert totals["alexnet"] == (60_965_224, 659_272)
    assert totals["vgg19"] == (143_667_240, 14_861_288)
    assert totals["resnet152"][0] == totals["resnet152_v1"][0] == 60_192_808


def test_the_wrong_figures_are_wrong_by_what_is_said(answer_to: Callable[[str], Answer]) -> None:
    last, alexnet, vgg, neurons = answer_to("3.1")["published"]
    assert last["computed"] == 4096 * 1000 + 1000 == last["published"] + 10_000
    assert alexnet["computed"] == alexnet["published"] + 10_000
    assert vgg["computed"] - vgg["published"] > 5_000_000
    assert neurons["published"] > 4 * neurons["computed"]
    shapes = [layer["output_shape"] for layer in answer_to("3.1")["networks"]["vgg19"]["layers"]]
    assert f"{sum(map(prod, shapes)):,}" in neurons["cause"]


@pytest.mark.parametrize("name", ["alexnet", "vgg19", "resnet152"])
def test_multiplications_and_additions_of_weighted_layers(name: str, answer_to: Callable[[str], Answer]) -> None:
    kinds = {kind["operation"]: kind for kind in answer_to("3.2")[name]["kinds"]}
    for operation, spatial in (("conv2d", True), ("linear", False)):
        layers = [layer for layer in NETWORKS[name] if (layer.side > 1) == spatial]
        assert kinds[operation]["layers"] == len(layers)
        assert kinds[operation]["multiplications"] == sum(layer.multiplications for layer in layers)
        assert kinds[operation]["additions"] == sum(layer.additions for layer in layers)


@pytest.mark.parametrize("name", ["alexnet", "vgg19", "resnet152"])
def test_without_padding_the_windows_at_the_edges_lose(name: str, answer_to: Callable[[str], Answer]) -> None:
    network = answer_to("3.2")[name]
    lost = sum(layer.multiplications - layer.inside for layer in NETWORKS[name])
    if name == "alexnet":  # windows of five channels: 2 + 1 outside, at the first channels and at the last
        lost += 2 * (2 + 1) * (55**2 + 27**2)
    for key in ("multiplications", "additions"):
        assert network["total"][key] - network["without_padding"][key] == lost


@pytest.mark.parametrize("name", ["alexnet", "vgg19", "resnet152"])
def test_kinds_sum_to_the_total(name: str, answer_to: Callable[[str], Answer]) -> None:
    network = answer_to("3.2")[name]
    for key, value in network["total"].items():
        assert sum(kind[key] for kind in network["kinds"]) == value


NORMALISED = 96 * 55**2 + 256 * 27**2  # values that AlexNet's local response normalisation divides
RECTIFIED = NORMALISED + (384 + 384 + 256) * 13**2 + 2 * 4096
SOFTMAX = {"comparison": 999, "division": 1000, "exp": 1000}


def test_other_operations_of_alexnet(answer_to: Callable[[str], Answer]) -> None:
    pooled = 8 * (96 * 27**2 + 256 * 13**2 + 256 * 6**2)
    total = answer_to("3.2")["alexnet"]["total"]
    assert total["comparison"] == RECTIFIED + pooled + 999
    assert (total["division"], total["power"], total["exp"]) == (NORMALISED + 1000, NORMALISED, 1000)
    weighted = sum(layer.multiplications for layer in ALEXNET)
    assert total["multiplications"] == weighted + 6 * NORMALISED  # five squares and alpha
    assert total["additions"] == weighted + 5 * NORMALISED + 1999  # four of the sum, and k; softmax


def test_other_operations_of_vgg19(answer_to: Callable[[str], Answer]) -> None:
    pooled = 3 * sum(width * side**2 for width, side in ((64, 112), (128, 56), (256, 28), (512, 14), (512, 7)))
    total = answer_to("3.2")["vgg19"]["total"]
    assert total["comparison"] == sum(layer.neurons for layer in vgg19()[:-1]) + pooled + 999
    assert (total["division"], total["exp"], total["power"], total["sqrt"]) == (1000, 1000, 0, 0)


def test_other_operations_of_resnet152(answer_to: Callable[[str], Answer]) -> None:
    channels = channels_normalised("resnet152")
    kinds = {kind["operation"]: kind for kind in answer_to("3.2")["resnet152"]["kinds"]}
    values = sum(layer.neurons for layer in NETWORKS["resnet152"] if not layer.bias)
    assert kinds["batch_norm"]["multiplications"] == values
    assert kinds["batch_norm"]["additions"] == 2 * values + channels
    assert kinds["batch_norm"]["division"] == kinds["batch_norm"]["sqrt"] == channels
    shortcuts = 4 * (3 * 64 * 56**2 + 8 * 128 * 28**2 + 36 * 256 * 14**2 + 3 * 512 * 7**2)
    assert (kinds["add"]["layers"], kinds["add"]["additions"]) == (50, shortcuts)
    assert {key: kinds["softmax"][key] for key in SOFTMAX} == SOFTMAX


def value(formula: str, **sizes: int) -> Fraction:
    """A formula as a reader would work it out."""
    total = Fraction(0)
    for term in formula.replace(",", "").replace(" - ", " + -").split(" + "):
        sign, factors = (-1, term[1:]) if term.startswith("-") else (1, term)
        total += sign * prod(Fraction(sizes.get(factor, factor)) for factor in factors.split("*"))
    return total


@pytest.mark.parametrize("name", NETWORKS)
def test_formulas_of_neurons_and_parameters(name: str, answer_to: Callable[[str], Answer]) -> None:
    network = answer_to("3.1")["networks"][name]
    formulas = network["formulas"]
    assert ("H" in formulas["neurons"]) == (name != "alexnet")
    side = SIDES[name]
    for key in ("parameters", "trainable_parameters"):
        assert value(formulas[key]) == network[key]
    for key in ("neurons", "neurons_with_input"):
        assert value(formulas[key], N=3, H=side, W=side) == 3 * network[key]
    if name != "alexnet":
        neurons = sum(4 * layer.neurons if layer.side > 1 else layer.neurons for layer in NETWORKS[name])
        assert value(formulas["neurons"], N=1, H=2 * side, W=2 * side) == neurons


@pytest.mark.parametrize("name", ["alexnet", "vgg19", "resnet152"])
def test_formulas_of_operations(name: str, answer_to: Callable[[str], Answer]) -> None:
    network = answer_to("3.2")[name]
    side = SIDES[name]
    for key, (formula, domain) in network["formulas"].items():
        if "from 256" not in domain:  # VGG19's multiplications: see below
            assert value(formula, N=1, H=side, W=side) == network["total"][key]
    multiplications, domain = answer_to("3.2")["vgg19"]["formulas"]["multiplications"]
    assert domain == "N any size; H a multiple of 32; W a multiple of 32 from 256"
    layers = sum(4 * layer.multiplications if layer.side > 1 else layer.multiplications for layer in vgg19())
    assert value(multiplications, N=1, H=448, W=448) == layers + 49 * 512


def test_the_same_for_any_network() -> None:
    for number in ("3.1", "3.2"):
        exercise = load_exercise(number)
        answer = exercise.answer_for(["mlp"])
        assert "mlp" in exercise.text(answer)
    perceptron = load_exercise("3.1").answer_for(["mlp"])
    assert perceptron["published"] == []
    assert list(perceptron["networks"]) == ["mlp"]
    assert perceptron["networks"]["mlp"]["formulas"] == {
        "parameters": "266,610",
        "trainable_parameters": "266,610",
        "neurons": "410*N",
        "neurons_with_input": "1,194*N",
        "valid for": "N any size",
    }
    assert load_exercise("3.2").answer_for(["mlp"])["mlp"]["formulas"]["additions"] == ["266,219*N", "N any size"]
