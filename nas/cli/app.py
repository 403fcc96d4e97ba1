"""The commands of `nas` by name; a new one is a file with a function of its name, and an entry here.

A command's file is imported when the command is given, so that `nas --help` answers at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from inspect import cleandoc
from typing import Annotated

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

COMMANDS: Mapping[str, str] = {
    "search": "Search for an architecture; without CONFIG, the example on real handwritten digits.",
    "resume": "Go on with a run, however it was stopped.",
    "submit": "Run a search as a job on a Ray cluster, or print files for KubeRay or machines of your own.",
    "status": "Show how a run is doing: trials, front, rejections, failures, time left.",
    "space": "Show what a search space holds: its size, what members cost, which share keeps limits.",
    "profile": "Show what each layer of a model costs.",
    "latency": "Measure how long models take on this device, and say where that cannot be believed.",
    "scale": "Scale a network to a family, by a rule or to budgets: specs, PyTorch source, table, picture.",
    "fit": "Settle the coefficients of compound scaling for a network, by training a small grid of them.",
    "compare": "Draw the fronts of several runs on one picture and write them as tables.",
    "bench": "Run strategies on a tabular benchmark, with their spread over seeds.",
    "doctor": "Check this machine: versions, devices, storage, and a search of ten seconds.",
}


class Commands(TyperGroup):
    """Knows its commands by name and imports the one that is given."""

    def resolve_command(  # type: ignore[override]  # typer's own context class is private
        self, ctx: typer.Context, args: list[str]
    ) -> tuple[str | None, TyperCommand | None, list[str]]:
        name, known, rest = super().resolve_command(ctx, args)
        return name, None if known is None or name is None else command(name), rest


def app() -> TyperGroup:
    """Return the command `nas`."""
    cli = typer.Typer(cls=Commands, name="nas", invoke_without_command=True, rich_markup_mode="rich")
    cli.callback(help=reflowed(nas.__doc__))(nas)
    group = get_command(cli)  # with options to install shell completion
    assert isinstance(group, TyperGroup)
    for name, line in COMMANDS.items():
        group.add_command(TyperCommand(name, help=line))
    return group


def command(name: str) -> TyperCommand:
    """Return a command, its file imported."""
    one = typer.Typer(add_completion=False, rich_markup_mode="rich")
    function = getattr(import_module(f"{__package__}.{name}"), name)
    one.command(name, help=reflowed(function.__doc__))(function)
    made = get_command(one)
    assert isinstance(made, TyperCommand)
    return made


def reflowed(text: str | None) -> str:
    """Return a docstring with each paragraph in one line, but for examples, which keep theirs."""
    paragraphs = cleandoc(text or "").split("\n\n")
    return "\n\n".join(p if p.startswith("nas ") else " ".join(p.split()) for p in paragraphs)


def nas(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Find a convolutional architecture within your limits, and show the trade-off.

    nas search                  a first search, on digits, in about a minute
    nas status RUN              how it is doing, from any shell
    nas compare RUN RUN         fronts on one picture

    Every command takes --json; --debug shows the traceback of an error.
    """
    if version:
        from importlib.metadata import version as installed

        typer.echo(installed("archscale"))
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help(), nl=False)
