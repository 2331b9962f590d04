"""The Python interface to costs: everything that may stand for a network."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import tilework as tw
from tilework.errors import NetworkError
from tilework.frontend.request import request
from tilework.network.graph_text import print_graph

torch = pytest.importorskip("torch", reason="PyTorch is not installed")


def test_a_name_a_file_a_graph_and_a_module_count_alike(tmp_path: Path, models: Any) -> None:
    graph = tw.load("resnet18")
    path = tmp_path / "resnet18.graph"
    path.write_text(print_graph(graph), encoding="utf-8")
    totals = [tw.count(network).total for network in ("resnet18", path, graph)]
    assert totals == [tw.count("resnet18").total] * 3
    module = models.resnet18()
    with torch.device("meta"):
        hollow = models.resnet18()
    for inputs in ((torch.zeros(1, 3, 224, 224),), ((1, 3, 224, 224),)):
        counted = [tw.count(network, *inputs).total for network in (module, hollow)]
        assert [c.macs for c in counted] == [totals[0].macs] * 2
        assert [c.parameters for c in counted] == [totals[0].parameters] * 2
        assert [c.neurons for c in counted] == [totals[0].neurons] * 2


def test_inputs_and_batch() -> None:
    one = tw.count("lenet5").total
    assert tw.count("lenet5", batch=3).total.macs == tw.count("lenet5", (3, 1, 28, 28)).total.macs == 3 * one.macs
    assert tw.count(torch.nn.Linear(4, 5), (2, 7, 4)).total.macs == 2 * 7 * 4 * 5
    assert tw.count(torch.nn.Linear(4, 5), (2, 7, 4), batch=3).total.macs == 3 * 7 * 4 * 5
    assert tw.count(torch.nn.Linear(4, 5), input=(6, 4)).total.macs == 6 * 4 * 5


def test_formulas_of_a_module() -> None:
    found = tw.formulas(torch.nn.Conv2d(3, 8, 3, padding=1), ("N", 3, "H", "W"))
    assert str(found.totals["macs"].polynomial) == "216*N*H*W"
    assert found.at(N=2, H=5, W=7)["macs"] == tw.count(torch.nn.Conv2d(3, 8, 3, padding=1), (2, 3, 5, 7)).total.macs


def test_memory_of_a_module() -> None:
    memory = tw.memory(torch.nn.Linear(100, 10, bias=False), (5, 100), optimizer="momentum")
    assert (memory.parameter_bytes, memory.gradient_bytes, memory.optimizer_bytes) == (4000, 4000, 4000)
    assert memory.saved_bytes == 5 * 100 * 4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: tw.count(3),
            "a network must be a name, a file, a Graph or a torch module, not int; see tilework.count",
        ),
        (lambda: tw.formulas("lenet5"), "formulas need a symbol for a size, such as --batch N or --input 3,H,W"),
        (
            lambda: tw.load("lenet5", batch="N"),
            "a size must be a number here, not the symbol N; symbols are for formulas",
        ),
        (
            lambda: tw.count("lenet5", phase="decode"),
            "a phase is for language models given as hf:CONFIG, which lenet5 is not",
        ),
        (
            lambda: tw.count(torch.nn.Linear(2, 2), (1, 2), phase="decode"),
            "a phase is for language models given as hf:CONFIG, not for a torch module",
        ),
    ],
)
def test_mistakes(make: Any, message: str) -> None:
    with pytest.raises(NetworkError, match=f"^{re.escape(message)}$"):
        make()


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder from which Python imports."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [str(tmp_path), *__import__("sys").path])
    return tmp_path


def test_a_callable_as_a_network(code: Path) -> None:
    (code / "mine_a.py").write_text(
        "import torch, tilework as tw\n"
        "def module(): return torch.nn.Linear(4, 5)\n"
        "def pair(): return torch.nn.Linear(4, 5), torch.zeros(2, 4)\n"
        "def graph(): return tw.load('lenet5')\n"
        "def valued():\n"
        "    width = int(torch.linspace(4, 5, 2)[0].item())\n"
        "    return torch.nn.Linear(width, 5)\n"
        "class Holder:\n"
        "    make = staticmethod(module)\n",
        encoding="utf-8",
    )
    assert tw.count("py:mine_a:module", (3, 4)).total.macs == 60
    assert tw.count("py:mine_a:Holder.make", (3, 4)).total.macs == 60
    assert tw.count("py:mine_a:valued", (3, 4)).total.macs == 60
    assert tw.count("py:mine_a:pair").total.macs == 40
    assert tw.count("py:mine_a:pair", batch=7).total.macs == 140
    assert tw.count("py:mine_a:graph").total == tw.count("lenet5").total
    assert tw.load("py:mine_a:pair").inputs[0].shape == (2, 4)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("mine_b", "a Python callable must be given as py:MODULE:CALLABLE, not 'py:mine_b'"),
        ("mine_b:", "a Python callable must be given as py:MODULE:CALLABLE, not 'py:mine_b:'"),
        (
            "no_such_place:f",
            "py:no_such_place:f must name something that Python can import: "
            "ModuleNotFoundError: No module named 'no_such_place'",
        ),
        (
            "mine_b:nothing",
            "py:mine_b:nothing must name something that Python can import: "
            "AttributeError: module 'mine_b' has no attribute 'nothing'",
        ),
        ("mine_b:number", "py:mine_b:number must name a callable, not a int"),
        ("mine_b:text", "py:mine_b:text must return a torch module or a Graph, not str"),
        (
            "mine_b:broken",
            "py:mine_b:broken must return a network when called without arguments, but ValueError: out of cheese",
        ),
        (
            "mine_b:module",
            "a torch module must be given its inputs' shapes, such as --input 1,3,224,224, or --input 1,128:int64 for "
            "token numbers",
        ),
    ],
)
def test_callables_that_are_no_networks(code: Path, spec: str, message: str) -> None:
    (code / "mine_b.py").write_text(
        "import torch\nnumber = 3\n"
        "def text(): return 'lenet5'\n"
        "def broken(): raise ValueError('out of cheese')\n"
        "def module(): return torch.nn.Linear(2, 2)\n",
        encoding="utf-8",
    )
    with pytest.raises(NetworkError, match=f"^{re.escape(message)}$"):
        tw.count(f"py:{spec}")


def test_symbols_have_the_sizes_that_the_network_has() -> None:
    from tilework.frontend.resolve import open_source

    source = open_source("lenet5")
    assert source.usual(request("N", ["C,H,28"])) == {"N": 1, "C": 1, "H": 28}
    assert source.usual(request(None, ["image=B,1,H,28"])) == {"B": 1, "H": 28}


def test_an_operation_that_nobody_has_stated_is_listed_until_somebody_does() -> None:
    library = torch.library.Library("counting_test", "DEF")
    library.define("twice(Tensor x) -> Tensor")
    library.impl("twice", lambda x: torch.empty_like(x), "Meta")

    class Twice(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.ops.counting_test.twice(x) + 1

    unstated = tw.count(Twice(), (3, 4))
    assert unstated.total.other_operations == {"unknown": 1}
    hint = "counting_test.twice.default, 1×; state it with @tilework.torch_operator('counting_test::twice')."
    assert hint in str(unstated)

    @tw.torch_operator("counting_test::twice")
    def twice(c: Any, x: Any) -> None:
        c.set(c.emit("pointwise", x, what="twice", body="x0 * 2"))

    stated = tw.count(Twice(), (3, 4)).total
    assert (stated.multiplications, stated.additions, stated.other_operations) == (12, 12, {})


def test_comparing_and_explaining() -> None:
    small, large = tw.load("resnet18"), tw.load("resnet34")
    assert tw.compare(tw.count(small), tw.count(large)).to_dict()["totals"]["macs"]["ratio"] == pytest.approx(
        0.4951, abs=1e-4
    )
    assert tw.explain(small, tw.count(small), "flop_counter").total.difference == 0
