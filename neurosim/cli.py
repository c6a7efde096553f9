"""The command line: the application, its global options, and how errors are shown."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from neurosim.commands import bench, catalogue, compare, data, energy, export, importing, models, training
from neurosim.errors import NeurosimError
from neurosim.version import VERSION

INTERRUPTED = 130  # 128 + SIGINT, as shells count


class _Group(TyperGroup):
    """Commands whose errors are one line on stderr."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except NeurosimError as error:
            if ctx.params["traceback"]:
                raise
            sys.stderr.write(f"error: {error}\n")
            raise typer.Exit(1) from error
        except KeyboardInterrupt as error:
            sys.stderr.write("interrupted\n")
            raise typer.Exit(INTERRUPTED) from error


app = typer.Typer(
    cls=_Group,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Spiking networks in a neuromorphic chip's integers, learning on the chip.",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"neurosim {VERSION}")
        raise typer.Exit


@app.callback()
def _global(
    traceback: Annotated[bool, typer.Option("--traceback", help="Show where an error came from.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True,
                                          help="Show the version and exit.")] = False,
) -> None:  # fmt: skip
    """Options that stand before the command; the group above reads them."""


for command in (training.demo, training.train, models.run, models.evaluate, energy.energy, bench.bench, compare.compare, export.export,
                models.inspect, models.report, catalogue.chips, catalogue.doctor):  # fmt: skip
    app.command()(command)
app.command("import")(importing.import_model)
app.add_typer(catalogue.backends_app, name="backends")
app.add_typer(data.data_app, name="data")


def main() -> None:
    """Run the command line of this process."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal that lacks a character shows another instead of failing
            stream.reconfigure(errors="replace")
    try:
        app(prog_name="neurosim")
    finally:
        try:
            sys.stdout.flush()
        except BrokenPipeError:  # the reader has gone: nobody to tell, and Python would complain at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
