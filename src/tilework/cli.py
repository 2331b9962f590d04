"""The command line: a table of commands, each imported only when it is called, and one way to report errors."""

from __future__ import annotations

import io
import os
import sys
from importlib import import_module
from typing import Any, NoReturn

import click

from tilework import __version__
from tilework.errors import TileworkError

USERS_MISTAKE, OUR_FAULT, INTERRUPTED = 2, 1, 130
PACKAGES = {"numpy": "run", "msgspec": "run", "PIL": "run"}  # optional package: the extra that brings it

COMMANDS: dict[str, tuple[str, str]] = {  # name: where it is, what it does
    "count": ("tilework.commands.count:count", "Parameters, neurons, operations and bytes, a line per layer."),
    "roofline": ("tilework.commands.roofline:roofline", "The least time on a machine, and what bounds it."),
    "scale": ("tilework.commands.scale:scale", "The time on many devices: language models and training steps."),
    "measure": ("tilework.commands.measure:measure", "The time on this machine, layer by layer, beside the least."),
    "compile": ("tilework.commands.compile:compile", "A program for a processor, as an executable file."),
    "run": ("tilework.commands.run:run", "Values and exact cycles on the simulated processor."),
    "simulate": (
        "tilework.commands.simulate:simulate",
        "The exact time of an executable, of assembly text or of a program in the tile language.",
    ),
    "debug": ("tilework.commands.debug:debug", "Step through a program, forward and back, and see why it waits."),
    "map": ("tilework.commands.map:map", "The best program found for a matrix product, in the tile language."),
    "isa": ("tilework.commands.isa:isa", "The processor's instructions, and its decoder's state diagram."),
    "report": ("tilework.commands.report:report", "One page that shows a network from layers to cycles."),
    "train": ("tilework.commands.train:train", "Trained weights, and how right they are, by a recipe."),
    "speedup": ("tilework.commands.speedup:speedup", "How much sooner methods of training reach an accuracy."),
    "validate": ("tilework.commands.validate:validate", "Published figures beside ours, and why they differ."),
    "networks": ("tilework.commands.networks:networks", "The networks known by name."),
    "machines": ("tilework.commands.machines:machines", "The processors and accelerators known by name."),
    "exercise": ("tilework.commands.exercise:exercise", "The exercise book: the list, or an answer, computed now."),
}


class Commands(click.Group):
    """A group whose commands are rows of COMMANDS, and which ends with one sentence and an exit code, always."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, function = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), function)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # Whoever read our output has read enough; the flush at exit must not fail either.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(0)

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        try:
            code = super().main(*args, **{**kwargs, "prog_name": "tilework", "standalone_mode": False})
        except click.exceptions.ClickException as error:
            _report(_usage(error), USERS_MISTAKE)
        except TileworkError as error:
            _report(str(error), USERS_MISTAKE)
        except ModuleNotFoundError as error:
            _report(_missing(error), USERS_MISTAKE if error.name in PACKAGES else OUR_FAULT)
        except OSError as error:
            _report(f"{error.filename or 'a file'} must be readable and writable: {error.strerror}", USERS_MISTAKE)
        except click.Abort:
            _report("interrupted", INTERRUPTED)
        except Exception as error:
            if os.environ.get("TILEWORK_DEBUG") == "1":
                raise
            _report(
                f"{type(error).__name__}: {error}; this is a fault of Tilework, please report it "
                "(TILEWORK_DEBUG=1 shows where it happened)",
                OUR_FAULT,
            )
        sys.exit(code if isinstance(code, int) else 0)


def _missing(error: ModuleNotFoundError) -> str:
    extra = PACKAGES.get(error.name or "")
    hint = f"pip install 'tilework[{extra}]'" if extra else "this is a fault of Tilework, please report it"
    return f"this command needs the package {error.name}: {hint}"


def _usage(error: click.ClickException) -> str:
    """Click's message as the start of a sentence, and where to read more."""
    message = error.format_message().strip().rstrip(".")
    context = getattr(error, "ctx", None)
    command = "tilework" if context is None else context.command_path
    return f"{message[:1].lower()}{message[1:]}; see {command} --help"


def _report(message: str, code: int) -> NoReturn:
    click.echo(f"tilework: {' '.join(message.splitlines())}", err=True)
    sys.exit(code)


@click.group(cls=Commands, invoke_without_command=True, epilog="Example: tilework count resnet152 --depth 1")
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """What a neural network costs, level by level, down to the processor that runs it."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main() -> NoReturn:
    """The entry point of the command `tilework`."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # the tree's lines, where the output is not UTF-8
    cli.main()
