"""The import of an ONNX model: its values so far, and how a node, a function and a subgraph are read."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from importlib import import_module
from itertools import chain, count
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from tilework.errors import NetworkError
from tilework.frontend.from_onnx import messages
from tilework.frontend.from_onnx.constants import Constant, sparse, stored
from tilework.frontend.from_onnx.scope import Scope, declared, live
from tilework.frontend.from_onnx.signatures import check
from tilework.frontend.from_onnx.site import OPERATORS, REGISTERED, SMALL, STANDARD, Read, Site, Unsupported
from tilework.network.graph import BUFFER, PARAMETER, Graph, Node, Tensor
from tilework.network.operations import Shape

if TYPE_CHECKING:
    from tilework.network.weights import Weights

DEPTH_LIMIT = 40  # of subgraphs and functions in one another
NODES_LIMIT = 300_000  # with functions and loops written out
FunctionKey = tuple[str, str, str]
# Operators whose rows take constants without reading them.
KEPT_LAZY = {"Constant", "ConstantOfShape", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
RARE = ("control", "gathering", "quantised", "recurrent", "sequences")
RARER: list[object] = []  # these modules, once they are imported
# Operators whose rows take tensors without elements.
OF_NOTHING = {"Concat", "ConstantOfShape", "If", "Loop", "Reshape", "Scan", "Shape", "Size"}


class Importer:
    """The graph so far: shapes and dtypes of the values, constants, and the weights that nodes have read."""

    def __init__(self, path: Path | None, taken: Iterable[str], functions: Iterable[messages.Function] = ()) -> None:
        self.path, self.taken = path, set(taken)
        self.shapes: dict[str, Shape] = {}
        self.dtypes: dict[str, str] = {}
        self.constants: dict[str, Constant] = {}
        self.sequences: dict[str, list[str]] = {}
        self.nodes: list[Node] = []
        self.weights: dict[str, Constant] = {}
        self.roles: dict[str, str] = {}
        self.batches: dict[int, int] = {}  # the batch that the file was made for, and which it shall be instead
        self.symbols: dict[str, int] = {}  # sizes of the inputs' axes that have names
        self.functions = {key_of(function): function for function in functions}
        self.has_parameters = False  # whether an initialiser is a weight
        self.held: dict[int, Constant] = {}
        self.sites = 0
        self.live: dict[int, tuple[list[messages.Node], frozenset[str], object]] = {}

    # Values

    def new(self, name: str) -> str:
        """A name that no other value has: this one or, where it is taken, with a number behind it."""
        numbered = (f"{name}_{number}" for number in count(1))
        found = next(candidate for candidate in chain([name], numbered) if candidate not in self.taken)
        self.taken.add(found)
        return found

    def define(self, name: str, shape: Shape, dtype: str) -> None:
        self.shapes[name], self.dtypes[name] = shape, dtype

    def has(self, name: str) -> bool:
        return name in self.shapes or name in self.constants or name in self.sequences

    def shape(self, name: str) -> Shape:
        """The shape of a value, a constant or a weight; raises NetworkError for a sequence, which has none."""
        if name in self.shapes:
            return self.shapes[name]
        constant = self.constants.get(name)
        if constant is None:
            raise NetworkError(f"{name} must be a tensor, not a sequence of tensors")
        return constant.shape

    def shape_read(self, name: str) -> Shape:
        """The shape of what a graph node reads, where a weight may be a constant under another shape."""
        return self.weights[name].shape if name in self.weights else self.shape(name)

    def elements(self, name: str) -> int:
        return prod(self.shape(name))

    def dtype(self, name: str) -> str:
        constant = self.constants.get(name) or self.weights.get(name)
        return self.dtypes.get(name, constant.dtype if constant else "float32")

    def reference(self, name: str, trainable: bool = True) -> str:
        """The name under which a graph node reads a tensor; a constant becomes a weight."""
        constant = self.constants.get(name)
        if constant is None:
            self.shape(name)
            return name
        return self.weight(constant, trainable)

    def weight(self, constant: Constant, trainable: bool = True) -> str:
        """A constant's name among the weights: its own, unless another form of it has that already."""
        others = (f"{constant.name}:{number}" for number in count(2))
        for name in chain([constant.name], (name for name in others if name not in self.taken)):
            if name not in self.shapes and self.weights.setdefault(name, constant) == constant:
                break
        if (trainable and constant.trained) or name not in self.roles:
            self.roles[name] = PARAMETER if trainable and constant.trained else BUFFER
        return name

    def graph(self, name: str, inputs: Iterable[Tensor], outputs: Mapping[str, list[str]]) -> Graph:
        """The finished graph, `outputs` being values by the file's names; an input that no node reads is left out."""
        values = [(given, value) for given, members in outputs.items() for value in members]
        values = [(given, value) for given, value in values if 0 not in self.shape(value)]
        if not values:
            raise NetworkError("an output must have elements, but no output has any")
        renamed = self._rename({value: given for given, value in reversed(values) if len(outputs[given]) == 1})
        names = tuple(renamed.get(value) or self.reference(value) for _, value in values)
        read = {*names, *(name for node in self.nodes for name in node.inputs)}
        weights = [Tensor(key, c.shape, c.dtype, self.roles[key]) for key, c in self.weights.items() if key in read]
        return Graph(name, (*(t for t in inputs if t.name in read), *weights), tuple(self.nodes), names)

    def _rename(self, wanted: Mapping[str, str]) -> dict[str, str]:
        """Let nodes whose values are outputs of the network bear these' names; an input gets a copy of that name."""
        made = {node.name for node in self.nodes}
        names = {value: given for value, given in wanted.items() if value in made and given not in self.shapes}
        for position, node in enumerate(self.nodes):
            if node.name in names or not names.keys().isdisjoint(node.inputs):
                inputs = tuple(names.get(read, read) for read in node.inputs)
                self.nodes[position] = replace(node, name=names.get(node.name, node.name), inputs=inputs)
        for value, given in wanted.items():
            if value in self.shapes and value not in made and given != value:
                self.nodes.append(Node(given, "dropout", (value,), (("p", 0.0),)))
                names[value] = given
        return names

    def values(self, graph: Graph, origin: str) -> Weights:
        from tilework.network.weights import Weights

        return Weights({tensor.name: self.weights[tensor.name].value for tensor in graph.weights}, origin)

    @contextmanager
    def trial(self) -> Iterator[Callable[[], list[Node]]]:
        """Everything read within is forgotten; gives a function that tells the nodes of it so far."""
        held = ("shapes", "dtypes", "constants", "sequences", "nodes", "weights", "roles", "taken")
        saved = {name: copy(getattr(self, name)) for name in held}
        before = len(self.nodes)
        yield lambda: self.nodes[before:]
        for name, value in saved.items():
            setattr(self, name, value)

    # Reading

    def store(self, scope: Scope, body: messages.Graph) -> None:
        """Let a graph's initialisers be constants."""
        for proto in body.initializer:
            name = self._stored_name(scope, proto.name)
            constant = self.held.get(id(proto)) or stored(proto, name, self.path)  # one for all rounds of a loop
            self.constants[name] = self.held[id(proto)] = constant
            self.has_parameters |= constant.trained and constant.elements > 1 and len(constant.shape) > 1
        for thin in body.sparse_initializer:
            name = self._stored_name(scope, thin.values.name if thin.values else "")
            self.constants[name] = sparse(name, thin, self.path)

    def _stored_name(self, scope: Scope, name: str) -> str:
        scope.names[name] = self.new(scope.prefix + name) if scope.depth else name
        return scope.names[name]

    def run(self, scope: Scope, nodes: Iterable[messages.Node]) -> None:
        """Read nodes one after the other."""
        for proto in nodes:
            self.sites += 1
            if self.sites > NODES_LIMIT:
                raise NetworkError(
                    f"a model must have at most {NODES_LIMIT:,} nodes, its functions and loops written out"
                )
            self._read(Site(self, scope, proto))

    def _read(self, site: Site) -> None:
        check(site)
        if self._folded(site):
            return
        row, nodes, weights = row_of(site.operator), len(self.nodes), len(self.weights)
        try:
            if row is None:
                raise Unsupported
            row(site)
        except Unsupported:
            del self.nodes[nodes:]
            for name in list(self.weights)[weights:]:
                del self.weights[name], self.roles[name]
            self._read_as_function(site)
        left = [place for place, name in enumerate(site.outputs) if name and not self.has(name)]
        self._unknown(site, left)

    def _folded(self, site: Site) -> bool:
        """Whether the outputs are constants that could be worked out, or that have no elements."""
        constants = [self.constants.get(name) for name in site.inputs if name]
        if any(constant is not None and not constant.elements for constant in constants):
            from tilework.frontend.from_onnx.inference import empty

            if site.operator not in OF_NOTHING and empty(site):
                return True
        if site.operator in KEPT_LAZY or not constants or constants[0] is None or constants[0].elements > SMALL:
            return False
        from tilework.frontend.from_onnx.folding import fold

        return fold(site)

    def _unknown(self, site: Site, places: Iterable[int]) -> None:
        if any(map(site.wanted, places)):
            from tilework.frontend.from_onnx.inference import unknown

            unknown(site, places)

    def _read_as_function(self, site: Site) -> None:
        """What no row states is the model's own function, the function that ONNX says it is, or unknown."""
        own = self.functions.get((site.domain, site.proto.op_type, site.proto.overload))
        if own is None and (not site.domain or site.domain.startswith("ai.onnx.")):
            from tilework.frontend.from_onnx.inference import function

            own = function(site)
        if own:
            self._call(site, own)
        else:
            self._unknown(site, range(len(site.outputs)))

    def _call(self, site: Site, function: messages.Function) -> None:
        """A function's body in the place of the node that calls it."""
        if len(function.input) < len(site.inputs) or len(function.output) < len(site.outputs):
            site.fail(f"it must have at most {len(function.input)} inputs and {len(function.output)} outputs")
        attributes = {attribute.name: attribute for attribute in function.attribute_proto} | site.attributes
        opsets = {"" if e.domain in STANDARD else e.domain: e.version for e in function.opset_import}
        given = dict(zip(function.input, site.inputs, strict=False))
        scope = self._inner(
            site, {formal: name for formal, name in given.items() if name}, {**site.scope.opsets, **opsets}
        )
        scope.attributes = attributes
        scope.absent = frozenset(name for name in function.input if not given.get(name))
        nodes, scope.read = self._live(function, function.node, function.output)
        self.run(scope, nodes)
        for place, name in enumerate(function.output[: len(site.outputs)]):
            if site.wanted(place):
                site.same(scope.find(name, site), place)

    def inline(self, site: Site, body: messages.Graph, given: Mapping[str, str]) -> list[str]:
        """A subgraph in the place of the node that holds it; `given` are its inputs' values. Returns its outputs'."""
        scope = self._inner(site, given, site.scope.opsets, site.scope.names)
        scope.attributes, scope.declared = site.scope.attributes, declared(body)
        nodes, scope.read = self._live(body, body.node, [info.name for info in body.output])
        self.store(scope, body)
        self.run(scope, nodes)
        return [scope.find(info.name, site) for info in body.output]

    def _inner(
        self, site: Site, given: Mapping[str, str], opsets: Mapping[str, int], outer: ChainMap[str, str] | None = None
    ) -> Scope:
        if site.scope.depth >= DEPTH_LIMIT:
            site.fail(f"functions and subgraphs must lie at most {DEPTH_LIMIT} deep in one another")
        names = ChainMap(dict(given), *(outer.maps if outer is not None else ()))
        return Scope(self, names, opsets, f"{site.name}/", site.module, depth=site.scope.depth + 1)

    def _live(
        self, owner: messages.Graph | messages.Function, nodes: Sequence[messages.Node], outputs: Iterable[str]
    ) -> tuple[list[messages.Node], frozenset[str]]:
        """As `live`, once for each body; the protos live as long as the model."""
        found = self.live.get(id(owner))
        if found is None:
            found = self.live[id(owner)] = (*live(nodes, outputs), owner)  # which keeps its id its own
        return found[:2]


def row_of(operator: str) -> Read | None:
    """The operator's row; those of the rarer operators are imported when the first of these is met."""
    if operator in REGISTERED:
        return REGISTERED[operator]
    if operator not in OPERATORS and not RARER:
        RARER.extend(import_module(f"tilework.frontend.from_onnx.{name}") for name in RARE)
    return OPERATORS.get(operator)


def key_of(function: messages.Function) -> FunctionKey:
    """By what a node calls a function: domain, name and overload."""
    domain = "" if function.domain in STANDARD else function.domain
    return domain, function.name, function.overload
