"""LSTM, GRU and RNN: the inputs' products for all steps at once, then step by step what depends on the step before.

Long sequences are not written out: all steps then stand side by side, with the same counts, over states that a host
node stands for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tilework.frontend.from_onnx.pointwise import number
from tilework.frontend.from_onnx.site import Site, operator
from tilework.network.operations import Shape

STEPS_LIMIT = 64  # of a sequence that is written out


@dataclass(frozen=True)
class Cell:
    """One direction of a layer: how many gates, and the values that its steps share."""

    gates: int
    hidden: int
    batch: int
    activations: list[str]
    recurrent: str  # R [gates*H, H]
    bias: tuple[str, str] | None  # of the input and of the state, [gates*H] each
    peephole: str | None  # [3*H]
    linear_before_reset: bool
    reverse: bool
    tag: str


Step = Callable[[Site, Cell, str, list[str], str], list[str]]

ACTIVATIONS = {
    "Affine": (1.0, 0.0, "A * @ + B"),
    "Elu": (1.0, 0.0, "select(less(@, 0), A * (exp(@) - 1), @)"),
    "HardSigmoid": (0.2, 0.5, "max(0, min(1, A * @ + B))"),
    "LeakyRelu": (0.01, 0.0, "select(less(@, 0), A * @, @)"),
    "Relu": (0.0, 0.0, "max(@, 0)"),
    "ScaledTanh": (1.0, 1.0, "A * tanh(B * @)"),
    "Sigmoid": (0.0, 0.0, "1 / (1 + exp(0 - @))"),
    "Softplus": (0.0, 0.0, "log(exp(@) + 1)"),
    "Softsign": (0.0, 0.0, "@ / (1 + abs(@))"),
    "Tanh": (0.0, 0.0, "tanh(@)"),
    "ThresholdedRelu": (1.0, 0.0, "select(less(A, @), @, 0)"),
}
USUAL = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def _activations(s: Site, directions: int) -> list[str]:
    """The bodies of the activation functions, @ standing for the argument, one direction's after the other's."""
    names = s.texts("activations", USUAL[s.operator] * directions)
    alphas, betas, clip = list(s.floats("activation_alpha")), list(s.floats("activation_beta")), s.number("clip", 0.0)
    if len(names) != len(USUAL[s.operator]) * directions or not {*names} <= {*ACTIVATIONS}:
        s.unsupported()
    bodies = []
    for name in names:
        alpha, beta, body = ACTIVATIONS[name]
        if "A" in body and alphas:
            alpha = alphas.pop(0)
        if "B" in body and betas:
            beta = betas.pop(0)
        body = body.replace("A", number(s, alpha)).replace("B", number(s, beta))
        bound = number(s, abs(clip))
        bodies.append(body.replace("@", f"max(min(@, {bound}), (-{bound}))") if clip else body)
    return bodies


def _part(s: Site, value: str, axis: int, start: int, size: int, to: str) -> str:
    """Some places of an axis; the value itself where these are all."""
    whole = s.importer.shape_read(value)[axis]
    return value if (start, size) == (0, whole) else s.emit("slice", value, to=to, axis=axis, start=start, size=size)


def _row(s: Site, value: str, place: int, to: str) -> str:
    """One place of the first axis, which goes."""
    shape = s.importer.shape_read(value)
    return s.emit("reshape", _part(s, value, 0, place, 1, f"{to}_cut"), to=to, shape=shape[1:])


def _read(step: Step, states: int) -> Callable[[Site], None]:
    """The operator of a cell with so many states; shorter sequences of a batch count as the longest."""

    def read(s: Site) -> None:
        x, direction = s.shape(), s.text("direction", "forward")
        weight, recurrent, gates = s.shape(1), s.shape(2), GATES[s.operator]
        directions = 2 if direction == "bidirectional" else 1
        hidden = recurrent[-1] if recurrent else 0
        fits = len(x) == 3 and weight == (directions, gates * hidden, x[-1]) and hidden > 0
        if not fits or recurrent != (directions, gates * hidden, hidden):
            s.fail(
                f"it must have X [S,B,I], W [{directions},{gates}*H,I] and R [{directions},{gates}*H,H], "
                f"not {list(x)}, {list(weight)} and {list(recurrent)}"
            )
        _layer(s, step, states, directions, hidden, direction == "reverse")

    return read


def _layer(s: Site, step: Step, states: int, directions: int, hidden: int, reverse: bool) -> None:
    """All directions, whose results are put together."""
    batch_first = bool(s.integer("layout", 0))
    x = s.reference(0)
    if batch_first:
        x = s.emit("transpose", x, to="steps", order=(1, 0, 2))
    activations = _activations(s, directions)
    share = len(activations) // directions
    outputs, lasts = [], []
    for place in range(directions):
        cell = _cell(s, place, hidden, activations[place * share : (place + 1) * share], reverse or place == 1)
        whole, last = _steps(s, step, cell, x, _initial(s, cell, place, states, batch_first))
        outputs.append(whole)
        lasts.append(last)
    _results(s, outputs, lasts, batch_first)


def _cell(s: Site, place: int, hidden: int, activations: list[str], reverse: bool) -> Cell:
    gates, tag = GATES[s.operator], ("", "back")[place]
    bias, peephole = None, None
    if s.given(3):
        both = _row(s, s.reference(3), place, f"bias{tag}")
        half = gates * hidden
        bias = (_part(s, both, 0, 0, half, f"bias_x{tag}"), _part(s, both, 0, half, half, f"bias_h{tag}"))
    if s.given(7):
        peephole = _row(s, s.reference(7), place, f"peephole{tag}")
    recurrent = _row(s, s.reference(2), place, f"r{tag}")
    batch = s.shape()[0 if s.integer("layout", 0) else 1]
    before = bool(s.integer("linear_before_reset", 0))
    return Cell(gates, hidden, batch, activations, recurrent, bias, peephole, before, reverse, tag)


def _initial(s: Site, cell: Cell, place: int, states: int, batch_first: bool) -> list[str]:
    """The states before the first step; zeros where they are not given."""
    found = []
    for number_, source in enumerate((5, 6)[:states]):
        shape: Shape = (cell.batch, cell.hidden)
        to = f"state{number_}{cell.tag}"
        if s.given(source):
            value = s.reference(source, trainable=False)
            if batch_first:
                value = s.emit("transpose", value, to=f"{to}_turned", order=(1, 0, 2))
            found.append(_row(s, value, place, to))
        else:
            found.append(s.pointwise("zeros", "0", to=to, shape=shape, dtype=s.dtype()))
    return found


def _steps(s: Site, step: Step, cell: Cell, x: str, state: list[str]) -> tuple[str, list[str]]:
    """The outputs of all steps [S,1,B,H], and the states after the last [1,B,H]."""
    length = s.importer.shape(x)[0]
    w = _row(s, s.reference(1), 1 if cell.tag else 0, f"w{cell.tag}")
    bias = [cell.bias[0]] if cell.bias else []
    projected = s.emit("linear", x, w, *bias, to=f"input{cell.tag}")
    if length > STEPS_LIMIT:
        return _side_by_side(s, step, cell, projected, state)
    outputs = [""] * length
    for place in reversed(range(length)) if cell.reverse else range(length):
        tag = f"{cell.tag}{place}"
        state = step(s, cell, _row(s, projected, place, f"x{tag}"), state, tag)
        outputs[place] = s.emit("reshape", state[0], to=f"h{tag}_row", shape=(1, 1, cell.batch, cell.hidden))
    whole = outputs[0] if length == 1 else s.emit("concat", *outputs, to=f"y{cell.tag}", axis=0)
    return whole, [
        s.emit("reshape", v, to=f"last{i}{cell.tag}", shape=(1, cell.batch, cell.hidden)) for i, v in enumerate(state)
    ]


def _side_by_side(s: Site, step: Step, cell: Cell, projected: str, state: list[str]) -> tuple[str, list[str]]:
    """The same work over states of all steps, which a node of the host stands for."""
    length = s.importer.shape(projected)[0]
    rows: Shape = (length * cell.batch, cell.hidden)
    flat = s.emit("reshape", projected, to=f"x{cell.tag}", shape=(rows[0], cell.gates * cell.hidden))
    states = [s.host("recurrence", v, shape=rows, to=f"states{i}{cell.tag}") for i, v in enumerate(state)]
    results = step(s, cell, flat, states, f"{cell.tag}steps")
    whole = s.emit("reshape", results[0], to=f"y{cell.tag}", shape=(length, 1, cell.batch, cell.hidden))
    lasts = []
    for i, value in enumerate(results):
        start = 0 if cell.reverse else rows[0] - cell.batch
        last = s.emit("slice", value, to=f"last{i}{cell.tag}_cut", axis=0, start=start, size=cell.batch)
        lasts.append(s.emit("reshape", last, to=f"last{i}{cell.tag}", shape=(1, cell.batch, cell.hidden)))
    return whole, lasts


def _results(s: Site, outputs: list[str], lasts: list[list[str]], batch_first: bool) -> None:
    """Y [S,D,B,H], and the last states [D,B,H]; with the batch first where `layout` says so."""
    values = [(outputs, 1, (2, 0, 1, 3))] + [([last[i] for last in lasts], 0, (1, 0, 2)) for i in range(len(lasts[0]))]
    for place, (parts, axis, order) in enumerate(values):
        if s.wanted(place):
            whole = parts[0] if len(parts) == 1 else s.emit("concat", *parts, to=f"all{place}", axis=axis)
            if batch_first:
                s.emit("transpose", whole, out=place, order=order)
            else:
                s.same(whole, place)


def _gate(s: Site, cell: Cell, value: str, place: int, to: str) -> str:
    return _part(s, value, 1, place * cell.hidden, cell.hidden, to)


def _recurrent(s: Site, cell: Cell, state: str, tag: str) -> str:
    """The state's product with the recurrent weights, and its bias."""
    return s.emit("linear", state, cell.recurrent, *([cell.bias[1]] if cell.bias else []), to=f"r{tag}")


def _rnn(s: Site, cell: Cell, x: str, state: list[str], tag: str) -> list[str]:
    """h = f(x W + h R + b)."""
    body = cell.activations[0].replace("@", "(x0 + x1)")
    return [s.pointwise("rnn", body, x, _recurrent(s, cell, state[0], tag), to=f"h{tag}")]


def _lstm(s: Site, cell: Cell, x: str, state: list[str], tag: str) -> list[str]:
    """Gates i, o, f and the candidate c, in ONNX's order; peepholes add the cell's state, weighed."""
    h, c = state
    total = s.emit("add", x, _recurrent(s, cell, h, tag), to=f"gates{tag}")
    f, g, last = cell.activations
    coupled = bool(s.integer("input_forget", 0))

    def gate(name: str, place: int, body: str, seen: str | None) -> str:
        value = _gate(s, cell, total, place, f"{name}{tag}_cut")
        if cell.peephole is None or seen is None:
            return s.pointwise("gate", body.replace("@", "x0"), value, to=f"{name}{tag}")
        weight = _part(s, cell.peephole, 0, place * cell.hidden, cell.hidden, f"p{name}{tag}")
        return s.pointwise("gate", body.replace("@", "(x0 + x1 * x2)"), value, weight, seen, to=f"{name}{tag}")

    i, z = gate("i", 0, f, c), gate("z", 3, g, None)
    if coupled:
        new = s.pointwise("cell", "(1 - x0) * x1 + x0 * x2", i, c, z, to=f"c{tag}")
    else:
        new = s.pointwise("cell", "x0 * x1 + x2 * x3", gate("f", 2, f, c), c, i, z, to=f"c{tag}")
    o = gate("o", 1, f, new)
    return [s.pointwise("hidden", f"x0 * {_call(last, 'x1')}", o, new, to=f"h{tag}"), new]


def _call(body: str, argument: str) -> str:
    return f"({body.replace('@', argument)})"


def _gru(s: Site, cell: Cell, x: str, state: list[str], tag: str) -> list[str]:
    """Gates z and r and the candidate h; `linear_before_reset` resets the state's product, not the state."""
    h, hidden = state[0], cell.hidden
    f, g = cell.activations
    if cell.linear_before_reset:
        product = _recurrent(s, cell, h, tag)
        gates = [_gate(s, cell, product, place, f"r{tag}_cut{place}") for place in range(3)]
    else:
        two = _part(s, cell.recurrent, 0, 0, 2 * hidden, f"rzr{tag}")
        bias = [_part(s, cell.bias[1], 0, 0, 2 * hidden, f"bzr{tag}")] if cell.bias else []
        product = s.emit("linear", h, two, *bias, to=f"r{tag}")
        gates = [_gate(s, cell, product, place, f"r{tag}_cut{place}") for place in range(2)]
    parts = [_gate(s, cell, x, place, f"x{tag}_cut{place}") for place in range(3)]
    z, r = (s.pointwise("gate", f.replace("@", "(x0 + x1)"), parts[k], gates[k], to=f"{'zr'[k]}{tag}") for k in (0, 1))
    if cell.linear_before_reset:
        n = s.pointwise("gate", g.replace("@", "(x0 + x1 * x2)"), parts[2], r, gates[2], to=f"n{tag}")
    else:
        reset = s.emit("mul", r, h, to=f"reset{tag}")
        third = _part(s, cell.recurrent, 0, 2 * hidden, hidden, f"rn{tag}")
        bias = [_part(s, cell.bias[1], 0, 2 * hidden, hidden, f"bn{tag}")] if cell.bias else []
        product = s.emit("linear", reset, third, *bias, to=f"n{tag}_product")
        n = s.pointwise("gate", g.replace("@", "(x0 + x1)"), parts[2], product, to=f"n{tag}")
    return [s.pointwise("hidden", "(1 - x0) * x1 + x0 * x2", z, n, h, to=f"h{tag}")]


operator("LSTM")(_read(_lstm, 2))
operator("GRU")(_read(_gru, 1))
operator("RNN")(_read(_rnn, 1))
