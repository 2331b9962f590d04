"""The closed list of scalar functions a nest's body may apply, and how each is counted and printed."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ScalarFunction:
    """One scalar function.

    `category` is the column it is counted in; `numpy` names the ufunc that computes it;
    `infix` and `precedence` say how it is written (no infix: `name(a, b)`).
    """

    name: str
    arity: int
    category: str
    numpy: str
    infix: str | None = None
    precedence: int = 9


FUNCTIONS: dict[str, ScalarFunction] = {
    f.name: f
    for f in (
        ScalarFunction("add", 2, "addition", "add", "+", 1),
        ScalarFunction("sub", 2, "addition", "subtract", "-", 1),
        ScalarFunction("mul", 2, "multiplication", "multiply", "*", 2),
        ScalarFunction("div", 2, "division", "divide", "/", 2),
        ScalarFunction("max", 2, "comparison", "maximum"),
        ScalarFunction("min", 2, "comparison", "minimum"),
        ScalarFunction("pow", 2, "power", "power"),
        ScalarFunction("exp", 1, "exp", "exp"),
        ScalarFunction("log", 1, "log", "log"),
        ScalarFunction("sqrt", 1, "sqrt", "sqrt"),
        ScalarFunction("tanh", 1, "tanh", "tanh"),
        ScalarFunction("erf", 1, "erf", "erf"),
        ScalarFunction("sin", 1, "trigonometric", "sin"),
        ScalarFunction("cos", 1, "trigonometric", "cos"),
        ScalarFunction("abs", 1, "absolute", "abs"),
        ScalarFunction("floor", 1, "rounding", "floor"),
        ScalarFunction("round", 1, "rounding", "rint"),
        ScalarFunction("less", 2, "comparison", "less"),
        ScalarFunction("equal", 2, "comparison", "equal"),
        ScalarFunction("and", 2, "logic", "logical_and"),
        ScalarFunction("or", 2, "logic", "logical_or"),
        ScalarFunction("not", 1, "logic", "logical_not"),
        ScalarFunction("select", 3, "selection", "where"),
    )
}

INFIX: dict[str, ScalarFunction] = {f.infix: f for f in FUNCTIONS.values() if f.infix}


@dataclass(frozen=True, slots=True)
class Update:
    """How a statement combines its body with what the output holds: `=`, or a reduction with its identity."""

    symbol: str
    function: str | None
    identity: float


UPDATES: dict[str, Update] = {
    u.symbol: u
    for u in (
        Update("=", None, 0.0),
        Update("+=", "add", 0.0),
        Update("max=", "max", float("-inf")),
        Update("min=", "min", float("inf")),
    )
}
