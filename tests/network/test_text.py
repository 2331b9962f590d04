"""Nests print and parse back; text that is no nest says where it stops making sense."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilework.errors import NetworkError
from tilework.network.functions import FUNCTIONS, UPDATES
from tilework.network.nest import Access, Affine, Apply, Constant, Expression, Nest
from tilework.network.text import parse_nest, print_name, print_nest, read_name

NUMBERS = st.floats(allow_nan=False) | st.integers(-99, 99).map(float)
PLAIN = st.sampled_from(("x", "w", "conv1.weight", "block.0:t", "n", "max", "exp", "inf", "_"))
NAMES = PLAIN | st.text(max_size=8)
LOOPS = st.lists(
    st.tuples(st.sampled_from(("n", "k", "c2", "max", "inf", "_p", "Q")), st.integers(1, 300)),
    unique_by=lambda loop: loop[0],
    max_size=4,
).map(tuple)


def indices(loops: tuple[tuple[str, int], ...]) -> st.SearchStrategy[Affine]:
    names = st.lists(st.sampled_from([name for name, _ in loops]), unique=True) if loops else st.just([])
    coefficients = st.integers(-30, 30).filter(bool)
    terms = names.flatmap(lambda used: st.tuples(*(st.tuples(st.just(name), coefficients) for name in used)))
    return st.builds(Affine, terms, st.integers(-30, 30))


def accesses(loops: tuple[tuple[str, int], ...]) -> st.SearchStrategy[Access]:
    return st.builds(Access, NAMES, st.lists(indices(loops), max_size=3).map(tuple), st.none() | NUMBERS)


def bodies(loops: tuple[tuple[str, int], ...]) -> st.SearchStrategy[Expression]:
    def applied(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
        return st.sampled_from(list(FUNCTIONS.values())).flatmap(
            lambda f: st.builds(Apply, st.just(f.name), st.tuples(*[inner] * f.arity))
        )

    return st.recursive(st.builds(Constant, NUMBERS) | accesses(loops), applied, max_leaves=8)


@st.composite
def nests(draw: st.DrawFn) -> Nest:
    loops = draw(LOOPS)
    output, body, update = draw(accesses(loops)), draw(bodies(loops)), draw(st.sampled_from(list(UPDATES)))
    if update == "=":
        loops = tuple((name, extent if name in output.loops() else 1) for name, extent in loops)
    return Nest(loops, output, update, body)


@settings(deadline=None)
@given(nests())
def test_prints_and_parses_back(nest: Nest) -> None:
    text = print_nest(nest)
    assert parse_nest(text) == nest
    assert str(nest) == text
    assert "\n" not in text


@settings(deadline=None)
@given(NAMES)
def test_names_print_and_read_back(name: str) -> None:
    assert read_name(print_name(name)) == name


@pytest.mark.parametrize(
    "text",
    [
        "n<1 k<64 c<3: o[n,k] += x[n,c] * w[k,c]",
        ": o[] = x[0]",
        "i<2: o[i] = x[-2*i+3 | -inf] - (y[i] - 1) / (-0.5)",
        "i<2 r<3: o[2*i+r-1] max= max(x[i], 0) * (x[i] + 1e-05)",
        'i<2: "max"[i] = exp("a b[0]"[i,i,1]) + "\\u00fc"[]',
        "a<2 b<2: o[a,b] min= pow(x[a+b | inf], 2) / y[ | 1]",
    ],
)
def test_canonical_text_is_a_fixed_point(text: str) -> None:
    assert print_nest(parse_nest(text)) == text


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("i<2:o[i]=x[i]", "i<2: o[i] = x[i]"),
        ("i < 2 : o [ i ] = x[ i*2+i-1-1 ]", "i<2: o[i] = x[3*i-2]"),
        ("i<2: o[i] = x[i-i+1]", "i<2: o[i] = x[1]"),
        ("i<2: o[i] = x[2*3*i,]", "i<2: o[i] = x[6*i]"),
        ("i<2: o[i] = ((x[i] + 1)) + 2", "i<2: o[i] = x[i] + 1 + 2"),
        ("i<2: o[i] = 1 + (2 + x[i])", "i<2: o[i] = 1 + (2 + x[i])"),
        ('i<2: "o"[i] = "x"[i]', "i<2: o[i] = x[i]"),
        ("i<2: o[i] = 2.50", "i<2: o[i] = 2.5"),
    ],
)
def test_loose_text_reads_as(text: str, canonical: str) -> None:
    assert print_nest(parse_nest(text)) == canonical


def test_sizes_stand_for_numbers() -> None:
    text = "n<N k<K: o[K*n+k-P | -V] = x[n] * V + N"
    nest = parse_nest(text, {"N": 2, "K": 3, "P": 1, "V": 0.5})
    assert print_nest(nest) == "n<2 k<3: o[3*n+k-1 | -0.5] = x[n] * 0.5 + 2"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected ':', not the end of the line, in the nest ''"),
        ("i<2", "expected ':', not the end of the line, in the nest 'i<2'"),
        ("i 2: o[i] = 1", "expected '<', not '2', in the nest 'i 2: o[i] = 1'"),
        ("i<2.5: o[i] = 1", "expected an integer or a size, not '2.5', in the nest 'i<2.5: o[i] = 1'"),
        ("i<F: o[i] = 1", "expected an integer or a size, not 'F', in the nest 'i<F: o[i] = 1'"),
        ("i<Z: o[i] = 1", "Z is neither a loop nor a size in the nest 'i<Z: o[i] = 1'"),
        ("i<2 i<3: o[i] = 1", "loop i is declared twice in the nest 'i<2 i<3: o[i] = 1'"),
        ("i<0: o[i] = 1", "loop i must run at least once, not 0 times"),
        ('"i"<2: o[0] = 1', "a loop's name must be a plain identifier, not '\"i\"'"),
        ("i<2: o = 1", "expected '[', not '=', in the nest 'i<2: o = 1'"),
        ("i<2: 3 = 1", "expected a name, not '3', in the nest 'i<2: 3 = 1'"),
        ("i<2: o[i", "expected ']', not the end of the line, in the nest 'i<2: o[i'"),
        ("i<2: o[i*i] = 1", "expected an affine index, not 'i', in the nest 'i<2: o[i*i] = 1'"),
        ("i<2: o[x] = 1", "x is neither a loop nor a size in the nest 'i<2: o[x] = 1'"),
        ("i<2: o[i |] = 1", "expected a number, not ']', in the nest 'i<2: o[i |] = 1'"),
        ("i<2: o[i] * 1", "expected =, +=, max= or min=, not '*', in the nest 'i<2: o[i] * 1'"),
        ("i<2: o[i] =", "expected a name, not the end of the line, in the nest 'i<2: o[i] ='"),
        ("i<2: o[i] = x[i] 2", "expected the end of the line, not '2', in the nest 'i<2: o[i] = x[i] 2'"),
        ("i<2: o[i] = (x[i]", "expected ')', not the end of the line, in the nest 'i<2: o[i] = (x[i]'"),
        ("i<2: o[i] = x", "x is neither a loop nor a size in the nest 'i<2: o[i] = x'"),
        ("i<2: o[i] = max(x[i])", "max takes 2 arguments, not 1"),
        (
            "i<2: o[i] = tan(x[i])",
            f"a body may apply {', '.join(FUNCTIONS)}, not 'tan'",
        ),
        ("i<2: o[i] = x[i] % 2", "no nest can contain '%': 'i<2: o[i] = x[i] % 2'"),
        ('i<2: o[i] = "x[i]', "no nest can contain '\"': 'i<2: o[i] = \"x[i]'"),
        ('i<2: o[i] = "\\x"[i]', 'a quoted name must be a JSON string, not "\\x"'),
        (
            "i<2 r<3: o[i] = x[i+r]",
            "a statement with = must not have loops that its output's index lacks; use += or max=",
        ),
    ],
)
def test_mistakes(text: str, message: str) -> None:
    with pytest.raises(NetworkError) as caught:
        parse_nest(text, {"F": 0.5})
    assert str(caught.value) == message


@settings(deadline=None)
@given(st.text(alphabet='io<2:[]=+-*/()|, "\\.1emax', max_size=20))
def test_any_text_is_a_nest_or_a_network_error(text: str) -> None:
    try:
        nest = parse_nest(text)
    except NetworkError:
        return
    assert parse_nest(print_nest(nest)) == nest
