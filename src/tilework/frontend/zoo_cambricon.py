"""How the ten networks of Cambricon's evaluation are built, but for its CNN, which is lenet5.

Sizes are those of S. Liu et al., Cambricon: An Instruction Set Architecture for Neural Networks, ISCA 2016, table III.
What isn't one pass from inputs to outputs is a step of it: a machine with random states takes its random numbers as
inputs, uniform in 0..1, since the processor makes none.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from tilework.frontend.zoo_layers import linear, lstm_states, probabilities
from tilework.network.graph import Graph, GraphBuilder
from tilework.network.operations import Shape

LARGER = "select(less(x0, x1), 1, 0)"
SIGN = "select(less(x0, 0), -1, 1)"


def sigmoid_layers(name: str, shape: Shape, sizes: Sequence[int]) -> Graph:
    """Fully connected layers fc1, fc2, … of the given widths, each with a sigmoid; [N,sizes[0]] in, the last out."""
    g = GraphBuilder(name)
    value = g.input("x", shape)
    for i, features in enumerate(pairwise(sizes), 1):
        value = g.node(f"sigmoid{i}", "sigmoid", linear(g, f"fc{i}", value, features))
    return g.graph(value)


def rnn(name: str, shape: Shape, hidden: int = 93, classes: int = 61) -> Graph:
    """One layer of torch.nn.RNN (tanh) from a zero state, and the probabilities of classes at each step.

    Sequences [N,steps,features] in, [N,steps,classes] out.
    """
    batch, steps, features = shape
    g = GraphBuilder(name)
    own = [g.weight("rnn.weight_ih_l0", (hidden, features)), g.weight("rnn.bias_ih_l0", (hidden,))]
    recurrent = [g.weight("rnn.weight_hh_l0", (hidden, hidden)), g.weight("rnn.bias_hh_l0", (hidden,))]
    inputs = g.node("rnn.inputs", "linear", g.input("x", shape), *own)
    h = g.node("rnn.zeros", "pointwise", what="zeros", body="0", shape=(batch, hidden))
    states = []
    for i in range(steps):
        step = g.node(f"rnn.{i}.step", "slice", inputs, axis=1, start=i, size=1)
        step = g.node(f"rnn.{i}.x", "reshape", step, shape=(batch, hidden))
        total = g.node(f"rnn.{i}.sum", "add", step, g.node(f"rnn.{i}.h", "linear", h, *recurrent))
        h = g.node(f"rnn.{i}.out", "tanh", total)
        states.append(h)
    return _each_step(g, states, (batch, steps, hidden), classes)


def framewise_lstm(name: str, shape: Shape, hidden: int = 93, classes: int = 61) -> Graph:
    """One layer of torch.nn.LSTM from zero states, and the probabilities of classes at each step, as `rnn` has them."""
    g = GraphBuilder(name)
    states = lstm_states(g, g.input("x", shape), shape, hidden)
    return _each_step(g, states, (*shape[:2], hidden), classes)


def _each_step(g: GraphBuilder, states: Sequence[str], shape: Shape, classes: int) -> Graph:
    """The probabilities of classes from the state after each step."""
    whole = g.node("states", "reshape", g.node("joined", "concat", *states, axis=1), shape=shape)
    return probabilities(g, linear(g, "fc", whole, (shape[-1], classes)))


def boltzmann(name: str, shape: Shape, hidden: int = 500) -> Graph:
    """A step of a Boltzmann machine: hidden unit j becomes 1 with probability sigmoid(W v + L h + b).

    Visible units v [N,visible], hidden ones h and random numbers r [N,hidden]; the new hidden units out.
    """
    g = GraphBuilder(name)
    v, h, r = g.input("v", shape), g.input("h", (shape[0], hidden)), g.input("r", (shape[0], hidden))
    among = g.node("among", "linear", h, g.weight("among.weight", (hidden, hidden)))
    total = g.node("sum", "add", linear(g, "visible", v, (shape[1], hidden)), among)
    return g.graph(_drawn(g, "hidden", total, r))


def rbm(name: str, shape: Shape, hidden: int = 500) -> Graph:
    """A Gibbs step of a restricted Boltzmann machine: hidden units from the visible ones v, and these from those.

    v and random numbers [N,visible], others [N,hidden]; both layers out. One matrix serves both ways.
    """
    g = GraphBuilder(name)
    v, r_h = g.input("v", shape), g.input("r_hidden", (shape[0], hidden))
    r_v = g.input("r_visible", shape)
    weight = g.weight("weight", (hidden, shape[1]))
    up = g.node("up", "linear", v, weight, g.weight("bias_hidden", (hidden,)))
    h = _drawn(g, "hidden", up, r_h)
    down = g.node("down", "add", g.node("back", "matmul", h, weight), g.weight("bias_visible", (shape[1],)))
    return g.graph(h, _drawn(g, "visible_new", down, r_v))


def _drawn(g: GraphBuilder, name: str, total: str, random: str) -> str:
    """1 with the probability sigmoid(total), else 0."""
    chance = g.node(f"{name}_probability", "sigmoid", total)
    return g.node(name, "pointwise", random, chance, what="drawn", body=LARGER)


def som(name: str, shape: Shape, neurons: int = 36) -> Graph:
    """A self-organising map's answer: 1 for the neuron whose weights are nearest to x [N,features], 0 for others."""
    batch, features = shape
    g = GraphBuilder(name)
    x = g.node("apart", "reshape", g.input("x", shape), shape=(batch, 1, features))
    weight = g.weight("weight", (neurons, features))
    squares = g.node("squares", "pointwise", x, weight, what="squared difference", body="(x0 - x1) * (x0 - x1)")
    distance = g.node("distance", "reduce", squares, axes=(2,))
    least = g.node("least", "reduce", distance, what="minimum", axes=(1,), keep=True, update="min=")
    return g.graph(g.node("nearest", "pointwise", distance, least, what="equal", body="equal(x0, x1)"))


def hopfield(name: str, shape: Shape, steps: int = 10) -> Graph:
    """A Hopfield network: `steps` times all neurons at once become the sign of their sums; [N,neurons] of 1 and -1."""
    g = GraphBuilder(name)
    state = g.input("x", shape)
    weight = g.weight("weight", (shape[1], shape[1]))
    for i in range(steps):
        total = g.node(f"sum{i}", "linear", state, weight)
        state = g.node(f"state{i}", "pointwise", total, what="sign", body=SIGN)
    return g.graph(state)
