"""ATen's recurrent networks as one operator, as exported programs have them: each step of each layer is nodes.

The products with the inputs are made for all steps at once, those with the state step by step; that is how torch does
it, and as many products either way.
"""

from __future__ import annotations

from collections.abc import Callable

from tilework.frontend.from_torch.aten_movement import cut, joined
from tilework.frontend.from_torch.aten_support import reshape
from tilework.frontend.from_torch.calls import Value
from tilework.frontend.from_torch.lowering import Lowering
from tilework.frontend.from_torch.registry import aten

State = tuple[Value, ...]  # of one layer and direction, each [N,H]
Gates = Callable[[Lowering, Value, Value, State], State]  # from the inputs' and the state's products to a new state


def _chunks(c: Lowering, gates: Value, count: int) -> list[Value]:
    size = gates.shape[-1] // count
    return [cut(c, gates, len(gates.shape) - 1, place * size, size) for place in range(count)]


def lstm_gates(c: Lowering, inputs: Value, hidden: Value, state: State) -> State:
    """Hochreiter and Schmidhuber 1997 with a gate to forget; the gates stand in the order i, f, g, o."""
    i, f, g, o = _chunks(c, c.emit("add", inputs, hidden), 4)
    i, f, o = (c.emit("sigmoid", gate) for gate in (i, f, o))
    kept = c.emit("mul", f, state[1])
    cell = c.emit("add", kept, c.emit("mul", i, c.emit("tanh", g)))
    return c.emit("mul", o, c.emit("tanh", cell)), cell


def gru_gates(c: Lowering, inputs: Value, hidden: Value, state: State) -> State:
    """Cho et al. 2014 as cuDNN has it: the gates r, z, n, and n + z * (h - n)."""
    (ri, zi, ni), (rh, zh, nh) = _chunks(c, inputs, 3), _chunks(c, hidden, 3)
    r, z = (c.emit("sigmoid", c.emit("add", a, b)) for a, b in ((ri, rh), (zi, zh)))
    n = c.emit("tanh", c.emit("add", ni, c.emit("mul", r, nh)))
    return (c.emit("add", n, c.emit("mul", z, c.emit("sub", state[0], n))),)


def _plain_gates(activation: str) -> Gates:
    def gates(c: Lowering, inputs: Value, hidden: Value, state: State) -> State:
        return (c.emit(activation, c.emit("add", inputs, hidden)),)

    return gates


GATES: dict[str, Gates] = {
    "lstm": lstm_gates,
    "gru": gru_gates,
    "rnn_tanh": _plain_gates("tanh"),
    "rnn_relu": _plain_gates("relu"),
}


def _direction(
    c: Lowering, kind: str, x: Value, state: State, weights: tuple[Value, ...], backwards: bool
) -> tuple[Value, State]:
    """One layer in one direction: x [T,N,C] to [T,N,H], and the last state. Weights: ih, hh, then perhaps both biases
    and a projection of the hidden state."""
    biases = len(weights) > 3
    into, recur = (weights[0], *weights[2:3] * biases), (weights[1], *weights[3:4] * biases)
    projection = weights[-1:] if len(weights) % 2 else ()
    inputs = c.emit("linear", x, *into)
    outputs: dict[int, Value] = {}
    for step in reversed(range(x.shape[0])) if backwards else range(x.shape[0]):
        now = reshape(c, cut(c, inputs, 0, step, 1), inputs.shape[1:])
        state = GATES[kind](c, now, c.emit("linear", state[0], *recur), state)
        if projection:
            state = (c.emit("linear", state[0], *projection), *state[1:])
        outputs[step] = reshape(c, state[0], (1, *state[0].shape))
    return joined(c, [outputs[step] for step in range(x.shape[0])], 0), state


@aten("lstm.input", "gru.input", "rnn_tanh.input", "rnn_relu.input")
def recurrent(
    c: Lowering,
    x: Value,
    hx: Value | tuple[Value, ...],
    params: tuple[Value, ...],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> None:
    """All layers and directions; results are the outputs of all steps and the last states."""
    states = (hx,) if isinstance(hx, Value) else hx
    directions = 2 if bidirectional else 1
    size = len(params) // (num_layers * directions)
    value, lasts = _time_first(c, x, batch_first), list[State]()
    for layer in range(num_layers):
        ways = []
        for way in range(directions):
            place = layer * directions + way
            first = tuple(reshape(c, cut(c, s, 0, place, 1), s.shape[1:]) for s in states)
            weights = params[place * size : (place + 1) * size]
            output, last = _direction(c, c.call.operator.split(".")[1], value, first, weights, way == 1)
            ways.append(output)
            lasts.append(last)
        value = joined(c, ways, 2)
    c.set(_time_first(c, value, batch_first))
    for place, rows in enumerate(zip(*lasts, strict=True), 1):
        c.set(joined(c, [reshape(c, row, (1, *row.shape)) for row in rows], 0), place)


def _time_first(c: Lowering, x: Value, batch_first: bool) -> Value:
    return c.view(x, (1, 0, 2)) if batch_first else x


@aten("lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell")
def cell(
    c: Lowering,
    x: Value,
    hx: Value | tuple[Value, ...],
    w_ih: Value,
    w_hh: Value,
    b_ih: Value | None = None,
    b_hh: Value | None = None,
) -> None:
    """One step of one layer."""
    state = (hx,) if isinstance(hx, Value) else hx
    inputs = c.emit("linear", x, w_ih, *(() if b_ih is None else (b_ih,)))
    hidden = c.emit("linear", state[0], w_hh, *(() if b_hh is None else (b_hh,)))
    kind = c.call.operator.split(".")[1].removesuffix("_cell")
    for place, value in enumerate(GATES[kind](c, inputs, hidden, state)):
        c.set(value, place)


@aten("_thnn_fused_lstm_cell")
def fused_lstm_cell(
    c: Lowering,
    input_gates: Value,
    hidden_gates: Value,
    cx: Value,
    input_bias: Value | None = None,
    hidden_bias: Value | None = None,
) -> None:
    """One step from the products on; the third result is room for the backward pass."""
    gates = [input_gates, hidden_gates]
    for place, bias in enumerate((input_bias, hidden_bias)):
        gates[place] = gates[place] if bias is None else c.emit("add", gates[place], bias)
    hidden, now = lstm_gates(c, gates[0], gates[1], (cx, cx))
    c.set(hidden)
    c.set(now, 1)
