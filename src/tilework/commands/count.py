"""`tilework count`."""

from __future__ import annotations

from typing import Any

import click

from tilework.commands.options import json_option, network_options
from tilework.commands.sections import SectionedCommand
from tilework.commands.showing import FORMATS, JSON, Shown, ShownComparison, ShownCount, ShownReport, show
from tilework.cost.count import Count
from tilework.cost.count import count as count_graph
from tilework.cost.record import GROUPINGS, LAYER
from tilework.cost.view import QUANTITIES, View
from tilework.counting import formulas_of
from tilework.errors import NetworkError
from tilework.frontend.request import Request, request
from tilework.frontend.resolve import Source, open_source
from tilework.network.blocks import flat

DTYPES = ("float32", "float16", "bfloat16", "int8")
PADDED, UNPADDED = "padded", "unpadded"
TOOLS = ("torchinfo", "fvcore", "flop_counter", "ptflops", "calflops", "thop")
PHASES = ("prefill", "decode")
OPTIMISERS = ("sgd", "momentum", "adagrad", "rmsprop", "adam", "adamw")
SECTIONS = {
    "What is counted": ("inputs", "batch", "phase", "dtype", "convention", "no_padding", "backward", "no_reuse"),
    "Memory": ("memory", "optimizer", "checkpoint", "master"),
    "What is shown": ("by", "depth", "sort", "top", "quantity", "everything", "against"),
    "How it is shown": ("style", "as_json", "outputs"),
}
EXAMPLES = """\b
Examples:
  tilework count alexnet                         a line per layer, and the totals
  tilework count resnet152 --depth 1 --batch 8   its stages, for 8 pictures at a time
  tilework count resnet152 --top 10              the ten costliest layers
  tilework count resnet50 --batch N --input 3,H,W    formulas in N, H and W
  tilework count resnet50 --backward             and the gradient
  tilework count resnet50 --memory --optimizer sgd --batch 32
  tilework count vgg19 --by operation --json     for a script
  tilework count resnet152 -o cost.html          a page to sort and fold
  tilework count vgg19 -o cost.svg --quantity activation_bytes
  tilework count resnet18 --against resnet34     row by row
  tilework count vgg19 --convention torchinfo    where torchinfo's total comes from
  tilework count model.onnx
  tilework count py:torchvision.models:vit_b_16 --input 1,3,224,224
  tilework count hf:config.json --phase decode --input seq=4096
"""
KEYS = f"{', '.join(QUANTITIES)} (default: what is sorted by, else macs)"
quantity_choice = click.Choice(tuple(QUANTITIES))


@click.command(cls=SectionedCommand, sections=SECTIONS, epilog=EXAMPLES)
@network_options
@click.option("--phase", type=click.Choice(PHASES), default=None, help="Of hf:CONFIG: all tokens, or one more.")
@click.option("--dtype", type=click.Choice(DTYPES), help="What numbers are stored as, for the bytes.")
@click.option(
    "--convention",
    type=click.Choice((PADDED, UNPADDED, *TOOLS)),
    default=PADDED,
    help="Whether operations on padding zeros count (default: padded, they do); or what another tool counts, and why.",
)
@click.option("--no-padding", is_flag=True, help="The same as --convention unpadded.")
@click.option("--backward", is_flag=True, help="Add the cost of the gradient, derived from the nests.")
@click.option("--no-reuse", is_flag=True, help="Run each repeated block of a torch module.")
@click.option("--memory", is_flag=True, help="The memory of inference and of training instead of the counts.")
@click.option("--optimizer", type=click.Choice(OPTIMISERS), default="adam", help="For --memory (default: adam).")
@click.option(
    "--checkpoint",
    metavar="DEPTH",
    help="For --memory: compute again what modules this deep hold, or what each repeated block does (blocks).",
)
@click.option("--master", is_flag=True, help="For --memory: float32 copies of the parameters beside those of --dtype.")
@click.option("--by", type=click.Choice(GROUPINGS), default=LAYER, help="What a line stands for (default: layer).")
@click.option("--depth", type=int, metavar="N", help="Show modules as one line from this level on.")
@click.option(
    "--sort",
    type=quantity_choice,
    metavar="KEY",
    help="A flat list, the largest first; a KEY is one of those of --quantity.",
)
@click.option("--top", type=int, metavar="N", help="The N costliest lines, and the others as one.")
@click.option("--quantity", type=quantity_choice, metavar="KEY", help=f"What shares, bars and pictures show: {KEYS}.")
@click.option("--all", "everything", is_flag=True, help="Show repeated blocks one by one, not as one line.")
@click.option("--against", metavar="NETWORK", help="Compare with another network, line by line.")
@click.option(
    "--format", "style", type=click.Choice(FORMATS), help="What is printed (default: table, or nothing with -o)."
)
@json_option
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    metavar="FILE",
    help="Write a file: a page (.html), a picture (.svg, .png), or .csv, .md, .json, .txt, or the "
    "network with its costs for Netron (.onnx) or TensorBoard (.tfevents). May be repeated.",
)
def count(
    network: str, style: str | None, as_json: bool, outputs: tuple[str, ...], against: str | None, **options: Any
) -> None:
    """What NETWORK holds and computes: parameters, neurons, multiplications, additions, other operations and bytes.

    NETWORK is a name that `tilework networks` lists, a .graph, .onnx or .pt2 file, hf:CONFIG for a config.json of
    Hugging Face, or py:MODULE:CALLABLE for a Python callable that returns a torch module or a Graph: this runs your
    code. A size may be a symbol: then the counts are formulas.
    """
    asked = _Asked(network, options)
    shown = asked.comparison(against) if against else asked.shown()
    show(shown, JSON if as_json else style, outputs)


class _Asked:
    """What the command line asks of a network."""

    def __init__(self, network: str, options: dict[str, Any]) -> None:
        self.network, self.options = network, options
        alone = [name for name in ("memory", "against") if options.get(name)]
        alone += [options["convention"]] if options["convention"] in TOOLS else []
        if len(alone) > 1 or (alone and alone != ["against"] and options["backward"]):
            raise click.UsageError(f"{' and '.join(alone)} must be asked for alone")
        _check_goes_with("--memory", options["memory"], {key: options[key] for key in ("checkpoint", "master")})
        padding_zeros = not options["no_padding"] and options["convention"] != UNPADDED
        self.counting: dict[str, Any] = {
            "padding_zeros": padding_zeros,
            "dtype": options["dtype"],
            "backward": options["backward"],
        }
        self.request = request(
            options["batch"], options["inputs"], options["phase"] or "", reuse=not options["no_reuse"]
        )
        rows = {key: options[key] for key in ("sort", "top", "quantity", "everything")}
        _check_goes_with("sizes that are numbers", not self.request.symbols, rows)

    @property
    def view(self) -> View:
        o = self.options
        return View(o["by"], o["depth"], o["quantity"] or o["sort"] or "macs", o["sort"], o["top"], o["everything"])

    def shown(self) -> Shown:
        """The one report that the options ask for."""
        source, tool = open_source(self.network), self.options["convention"]
        if self.options["memory"]:
            return ShownReport(self.memory(source))
        if tool in TOOLS:
            return ShownReport(self.explanation(source, tool))
        if self.request.symbols:
            by, depth = self.options["by"], self.options["depth"]
            return ShownReport(formulas_of(source, self.request, self.counting, by, depth))
        facts = source.facts(self.request)
        return ShownCount(
            self.count(source, self.request), self.view, facts, self.network, lambda: flat(source.at(self.request))
        )

    def count(self, source: Source, asked: Request) -> Count:
        return count_graph(source.at(asked), **self.counting)

    def memory(self, source: Source) -> Any:
        from tilework.cost.memory import memory

        o = self.options
        depth = int(o["checkpoint"]) if (o["checkpoint"] or "").isdecimal() else o["checkpoint"]
        return memory(source.at(self.request), o["dtype"], o["optimizer"], depth, o["master"])

    def explanation(self, source: Source, tool: str) -> Any:
        from tilework.cost.conventions import explain

        graph = flat(source.at(self.request))
        return explain(graph, count_graph(graph, **self.counting), tool, source.classes())

    def comparison(self, against: str) -> Shown:
        """This network beside another one, which has its own inputs where it doesn't take these."""
        from tilework.cost.compare import compare

        first, other = self.count(open_source(self.network), self.request), open_source(against)
        try:
            second = self.count(other, self.request)
        except NetworkError:
            if not self.request.inputs:
                raise
            second = self.count(other, request(self.request.batch))
            click.echo(f"tilework: {against} doesn't take these inputs and was counted with its own", err=True)
        by, depth = self.options["by"], self.options["depth"]
        return ShownComparison(compare(first.grouped(by, depth), second.grouped(by, depth)), self.view)


def _check_goes_with(what: str, there: bool, options: dict[str, Any]) -> None:
    for name, value in options.items():
        if value and not there:
            option = "all" if name == "everything" else name
            raise click.UsageError(f"--{option} must go with {what}; leave it out")
