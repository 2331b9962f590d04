"""`tilework map`."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import click

from tilework.commands.options import json_option, print_json
from tilework.commands.progress import working
from tilework.compiler.map_problem import SKIPS
from tilework.errors import CompileError
from tilework.mapping import map_layer, map_product

_SIZES = re.compile(r"(\d{1,9}),(\d{1,9}),(\d{1,9})", re.ASCII)
_SHARE = re.compile(r"\d{1,9}(\.\d{1,9}|/\d{1,9})?", re.ASCII)


@click.command()
@click.argument("work", metavar="M,K,N|NETWORK:LAYER")
@click.option("--on", "machine", default="dlp-s", metavar="MACHINE", help="The processor (default dlp-s).")
@click.option("--dtype", metavar="DTYPE", help="fp32 (the default, if the processor has it), fp16, bf16 or int8.")
@click.option("--input-share", default="1", metavar="SHARE", help="What compression leaves of the inputs: 1/2 or 0.5.")
@click.option("--weight-share", default="1", metavar="SHARE", help="What compression leaves of the weights.")
@click.option("--skip", default="none", metavar="WHOSE", help=f"Zeros that cost no time: {', '.join(SKIPS)}.")
@click.option("--batch", type=int, metavar="N", help="The batch of a layer's network.")
@json_option
def map(
    work: str,
    machine: str,
    dtype: str | None,
    input_share: str,
    weight_share: str,
    skip: str,
    batch: int | None,
    as_json: bool,
) -> None:
    """The best program found for inputs M x K by weights K x N, or for a layer, a node of a network that sums products
    (with the pointwise work after it), from and to DRAM, in the tile language.

    \b
    Examples:
      tilework map 32,256,128
      tilework map 1024,256,2048 --on dlp-m4
      tilework map 1024,256,128 --input-share 1/2 --weight-share 1/4 --skip both
      tilework map alexnet:conv2 --on dlp-m4 --batch 4
    """
    from tilework.executable import find_weights
    from tilework.frontend.resolve import resolve

    network, colon, layer = work.rpartition(":")
    if batch is not None and not colon:
        raise CompileError("--batch must go with a layer, not with M,K,N; leave it out")
    shares: dict[str, Any] = {"input_share": _share(input_share), "weight_share": _share(weight_share), "skip": skip}
    with working(f"mapping {work}"):
        if colon:
            graph = resolve(network, batch)
            found = map_layer(graph, find_weights(graph, network), layer, machine, dtype=dtype, **shares)
        else:
            found = map_product(*_sizes(work), machine, dtype=dtype, **shares)
    if as_json:
        print_json(found.to_dict())
    else:
        click.echo(str(found))


def _sizes(text: str) -> tuple[int, int, int]:
    match = _SIZES.fullmatch(text.replace(" ", ""))
    if match is None:
        raise CompileError(
            f"sizes must be three whole numbers M,K,N, not {text!r}; write them as in: 1024,256,128, or a layer as in: "
            "alexnet:conv2"
        )
    return int(match[1]), int(match[2]), int(match[3])


def _share(text: str) -> Fraction:
    if not _SHARE.fullmatch(text) or re.search("/0+$", text):
        raise CompileError(f"a share must be above 0 and at most 1, not {text!r}; write it as 0.25 or 1/4")
    return Fraction(text)
