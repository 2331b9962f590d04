"""A command whose help shows its options under headings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click


class SectionedCommand(click.Command):
    """`sections` maps a heading to the names of its parameters; options under no heading come last."""

    def __init__(self, *args: Any, sections: Mapping[str, Sequence[str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sections = sections

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a list of options for each heading."""
        options = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        records = {option.name: option.get_help_record(ctx) for option in options}
        named = {name for names in self.sections.values() for name in names}
        rest = {"Other options": [name for name in records if name not in named]}
        for heading, names in (*self.sections.items(), *rest.items()):
            if found := [record for name in names if (record := records.get(name)) is not None]:
                with formatter.section(heading):
                    formatter.write_dl(found)
