"""What a nest checks, of which kind it is, and how it is rewritten."""

import pytest

from tilework.errors import NetworkError
from tilework.network.functions import FUNCTIONS
from tilework.network.nest import (
    CONTRACTION,
    COPY,
    ELEMENTWISE,
    KINDS,
    REDUCTION,
    Access,
    Affine,
    Apply,
    Constant,
    Nest,
    accesses,
    applications,
    map_accesses,
)
from tilework.network.text import parse_nest

N = Affine((("n", 1),))
K = Affine((("k", 1),))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("n<2 k<3 c<4: o[n,k] += x[n,c] * w[k,c]", CONTRACTION),
        ("n<2 k<3: o[n,k] += x[n] * w[k]", CONTRACTION),
        ("n<2 r<3: o[2*n+r] += x[n] * w[r]", CONTRACTION),
        ("n<2 c<4: o[n] += x[n,c] * x[n,c]", REDUCTION),
        ("n<2 c<4: o[n] += x[n,c] * 2", REDUCTION),
        ("n<2 c<4: o[n] += x[n,c] * w[c] * w[c]", REDUCTION),
        ("n<2 c<4: o[n] max= x[n,c] * w[c]", REDUCTION),
        ("n<2 c<4: o[n] += x[n,c]", REDUCTION),
        ("n<2: o[n] min= 1", REDUCTION),
        ("n<2: o[n] = x[n] * y[n]", ELEMENTWISE),
        ("n<2: o[n] = exp(x[n])", ELEMENTWISE),
        ("n<2 k<3: o[k,n] = x[n,k]", COPY),
        ("n<2: o[n] = 0", COPY),
    ],
)
def test_kind(text: str, kind: str) -> None:
    assert parse_nest(text).kind == kind
    assert kind in KINDS


def test_loops_are_parallel_or_reduce() -> None:
    nest = parse_nest("n<2 k<3 p<4 c<5 r<6: o[n,k,p] += x[n,c,p+r] * w[k,c,r]")
    assert nest.parallel_loops == (("n", 2), ("k", 3), ("p", 4))
    assert nest.reduction_loops == (("c", 5), ("r", 6))
    assert nest.iterations == 720
    assert nest.extents == {"n": 2, "k": 3, "p": 4, "c": 5, "r": 6}
    assert [str(access.tensor) for access in nest.reads] == ["x", "w"]


def test_single_iteration_may_be_missing_from_what_is_assigned() -> None:
    assert parse_nest("n<2 r<1: o[n] = x[n+r]").kind == COPY


@pytest.mark.parametrize(
    ("loops", "output", "update", "body", "message"),
    [
        ((("n", 2), ("n", 3)), N, "=", Constant(0), "each loop of a nest must have its own name, not ['n', 'n']"),
        ((("n", 0),), N, "=", Constant(0), "loop n must run at least once, not 0 times"),
        ((("a b", 2),), N, "=", Constant(0), "a loop's name must be a plain identifier, not 'a b'"),
        ((("é", 2),), N, "=", Constant(0), "a loop's name must be a plain identifier, not 'é'"),
        ((("n", 2),), K, "=", Constant(0), "an index uses loop k, which the nest does not declare"),
        ((("n", 2),), N, "=", Access("x", (K,)), "an index uses loop k, which the nest does not declare"),
        ((("n", 2),), N, "*=", Constant(0), "a statement updates by one of =, +=, max=, min=, not '*='"),
        (
            (("n", 2), ("k", 2)),
            N,
            "=",
            Access("x", (K,)),
            "a statement with = must not have loops that its output's index lacks; use += or max=",
        ),
    ],
)
def test_checks(loops: tuple, output: Affine, update: str, body: object, message: str) -> None:
    with pytest.raises(NetworkError) as caught:
        Nest(loops, Access("o", (output,)), update, body)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Constant(float("nan")), "a constant in a body must be a number, not nan"),
        (lambda: Access("x", (), float("nan")), "the pad value of an access to x must be a number, not nan"),
        (lambda: Apply("add", (Constant(1),)), "add takes 2 arguments, not 1"),
        (
            lambda: Apply("tan", (Constant(1),)),
            f"a body may apply {', '.join(FUNCTIONS)}, not 'tan'",
        ),
    ],
)
def test_parts_check_themselves(make, message: str) -> None:
    with pytest.raises(NetworkError) as caught:
        make()
    assert str(caught.value) == message


def test_affine() -> None:
    index = Affine((("p", 2), ("r", -3)), 5)
    assert (index.coefficient("p"), index.coefficient("r"), index.coefficient("q")) == (2, -3, 0)
    assert index.at({"p": 4, "r": 1}) == 10
    assert index.bounds({"p": 5, "r": 3}) == (-1, 13)
    inner = {"p": Affine((("a", 4), ("b", 1)), 1), "r": Affine((("b", 1),))}
    assert index.substitute(inner) == Affine((("a", 8), ("b", -1)), 7)
    assert Affine((("p", 1), ("r", -1))).substitute({"r": Affine((("p", 1),))}) == Affine((), 0)


def test_body_walks() -> None:
    body = parse_nest("n<2: o[n] = max(x[n] + y[n], 0) / exp(x[n])").body
    assert [access.tensor for access in accesses(body)] == ["x", "y", "x"]
    assert list(applications(body)) == ["div", "max", "add", "exp"]
    x = Access("x", (N,))
    changed = map_accesses(body, {x: Access("z", (N,), 0.0)})
    assert [access.tensor for access in accesses(changed)] == ["z", "y", "z"]


def test_rename_and_substitute() -> None:
    nest = parse_nest("n<6 r<3: o[n] += x[n+r-1 | 0] * w[r]")
    assert str(nest.rename({"o": "y", "w": "conv.weight"})) == "n<6 r<3: y[n] += x[n+r-1 | 0] * conv.weight[r]"
    tiles = {"n": Affine((("a", 2), ("b", 1)))}
    tiled = nest.substitute(tiles, (("a", 3), ("b", 2), ("r", 3)))
    assert str(tiled) == "a<3 b<2 r<3: o[2*a+b] += x[2*a+b+r-1 | 0] * w[r]"
    assert tiled.iterations == nest.iterations


def test_equal_nests_are_one_key() -> None:
    text = "n<6 r<3: o[n] += x[n+r-1 | 0] * w[r]"
    assert len({parse_nest(text), parse_nest(text)}) == 1
