"""The scalar expression of a pointwise operation as ONNX operators, one for each function applied."""

from __future__ import annotations

from itertools import count

import numpy as np

from tilework.frontend.to_onnx_exporter import Exporter
from tilework.network.elementwise import broadcast_shape
from tilework.network.nest import Access, Apply, Constant, Expression, accesses
from tilework.network.scalars import ANYTHING, EXACT

TRUTH = "bool"
LOGIC = {"and", "or", "not"}  # take truth values and, like comparisons, give one
COMPARISONS = {"less", "equal"}


def pointwise(e: Exporter, what: str, body: str, shape: tuple[int, ...]) -> None:
    """Emit the body's operators; numbers have the widest of the floating dtypes at hand, truth values are bool."""
    _Body(e).export()


class _Body:
    def __init__(self, e: Exporter) -> None:
        self.e = e
        self.body = e.expansion.nests[0].body
        self.number = self._number_dtype()
        self.known: dict[tuple[Expression, str], str] = {}
        self.places = count()

    def _number_dtype(self) -> str:
        floating = [dtype for dtype in (self.e.dtype, *self.e.dtypes) if np.dtype(dtype).kind == "f"]
        if floating:
            return str(np.result_type(*floating))
        return "int64" if _is_whole(self.body) else "float64"

    def export(self) -> None:
        reads = {self._place(access) for access in accesses(self.body)}
        whole = broadcast_shape("", [self.e.shapes[place] for place in reads]) == self.e.output
        cast = self.dtype(self.body) != self.e.dtype
        if whole and not cast and isinstance(self.body, Apply):
            self.value(self.body, to="")
            return
        value = self.wanted(self.body, self.dtype(self.body))
        if whole:
            self.e.append("Cast", value, dtype=self.e.dtype) if cast else self.e.append("Identity", value)
            return
        value = self.e.cast(value, self.dtype(self.body), self.e.dtype, "cast")
        self.e.append("Expand", value, self.e.constant("shape", self.e.output))

    def _place(self, access: Access) -> int:
        return int(access.tensor.removeprefix("x"))

    def dtype(self, expression: Expression) -> str:
        """The dtype of an expression's own value."""
        if isinstance(expression, Access):
            return TRUTH if self.e.dtypes[self._place(expression)] == TRUTH else self.number
        decides = isinstance(expression, Apply) and expression.function in LOGIC | COMPARISONS
        return TRUTH if decides else self.number

    def wanted(self, expression: Expression, dtype: str) -> str:
        """The name of an expression's value in a dtype, made once."""
        if (expression, dtype) not in self.known:
            own, to = self.dtype(expression), f"value{next(self.places)}"
            if own == dtype:
                self.known[expression, dtype] = self.value(expression, to)
            else:
                self.known[expression, dtype] = self.e.cast(self.wanted(expression, own), own, dtype, to)
        return self.known[expression, dtype]

    def value(self, expression: Expression, to: str) -> str:
        """The name of an expression's value in its own dtype."""
        if isinstance(expression, Access):
            place = self._place(expression)
            return self.e.cast(self.e.node.inputs[place], self.e.dtypes[place], self.dtype(expression), to)
        if isinstance(expression, Constant):
            return self.e.constant(to, [expression.value], self.number, scalar=True)
        function = expression.function
        takes = TRUTH if function in LOGIC else self.number
        dtypes = [TRUTH if function == "select" else takes, takes, takes]
        arguments = [self.wanted(a, d) for a, d in zip(expression.arguments, dtypes, strict=False)]
        return self.e.append("Where" if function == "select" else function.capitalize(), *arguments, to=to)


def _is_whole(expression: Expression) -> bool:
    """Whether an expression of integers is computed in integers."""
    if isinstance(expression, Constant):
        return expression.value.is_integer()
    if isinstance(expression, Apply):
        return expression.function in EXACT | ANYTHING and all(map(_is_whole, expression.arguments))
    return True
