"""The commands that tell what there is and whether it works: backends, chips and doctor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from neurosim.commands.options import Json

if TYPE_CHECKING:
    from neurosim.chip import Chip
    from neurosim.energytable import EnergyTable

backends_app = typer.Typer(help="List the backends, or install what one of them drives.")


@backends_app.callback(invoke_without_command=True)
def list_backends(ctx: typer.Context, as_json: Json = False) -> None:
    """List the backends and whether each can be used here."""
    if ctx.invoked_subcommand is not None:
        return
    from neurosim.backend import backend_status
    from neurosim.commands.show import make_console, show_lines, show_table, write_json
    from neurosim.tables import Table

    states = backend_status()
    if as_json:
        write_json({name: status._asdict() for name, status in states.items()})
        return
    rows = [(name, "ready" if status.available else "not available", status.detail) for name, status in states.items()]
    console = make_console()
    show_table(console, Table("Backends", ("name", "state", "detail"), tuple(sorted(rows))))
    show_lines(console, [f"{name}: {status.remedy}" for name, status in states.items() if status.remedy])


@backends_app.command("install")
def install_backend(
    name: Annotated[str, typer.Argument(help="A name of: neurosim backends.")], as_json: Json = False
) -> None:
    """Install what a backend drives and try it; your Python environment stays as it is."""
    from importlib import import_module

    from neurosim.backend import load_backend_class, registered
    from neurosim.commands.show import write_json
    from neurosim.errors import BackendError

    status = load_backend_class(name).status()
    install = getattr(import_module(registered()[name].partition(":")[0]), "install", None)
    if install is None:
        state = "is ready, there is nothing to install" if status.available else f"cannot be installed: {status.detail}"
        if not status.available:
            raise BackendError(f"backend {name!r} {state}; see its documentation")
        lines = [f"backend {name!r} {state}"]
    else:
        lines = install()
    if as_json:
        write_json({"backend": name, "done": lines})
        return
    for line in lines:
        print(line)


def chips(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME or CHIP.toml]", help="Show everything about one.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the chips, or show the capacities of one with the source of each, and check the file of your own."""
    from neurosim.chip import chip_names, load_chip
    from neurosim.commands.show import make_console, show_heading, show_lines, show_table, write_json
    from neurosim.tables import Table

    console = make_console()
    if name is None:
        found = [load_chip(each) for each in chip_names()]
        if as_json:
            write_json({chip.name: chip.to_dict() for chip in found})
            return
        rows = [
            (chip.name, chip.title, chip.n_cores, chip.compartments_per_core, ", ".join(chip.energy_tables) or None)
            for chip in found
        ]
        columns = ("name", "title", "cores", "neurons per core", "energy tables")
        show_table(console, Table("Chips", columns, tuple(rows)))
        return
    chip = load_chip(name)
    tables = _energy_tables(chip)
    if as_json:
        write_json(chip.to_dict())
        return
    show_heading(console, f"Chip {chip.name}: {chip.title}")
    show_lines(console, chip.notes.splitlines())
    n_unknown = sum(constant.kind == "unknown" for constant in chip.provenance.values())
    show_lines(console, [f"{len(chip.provenance)} quantities, {n_unknown} of them unknown, where nothing is checked"])
    if chip.cannot:
        show_heading(console, "What it cannot do")
        show_lines(console, chip.cannot)
    show_heading(console, "Energy tables")
    show_lines(console, [f"{table.name}: {table.title}" for table in tables] or ["none was made for this chip"])
    constants = [
        (key.replace("_", " "), str(value) if isinstance(value, tuple) else value, unit, kind, source)
        for key, (value, unit, source, kind) in chip.provenance.items()
    ]
    show_table(console, Table("", ("quantity", "value", "unit", "kind", "source"), tuple(constants)), title=False)


def _energy_tables(chip: Chip) -> list[EnergyTable]:
    """Return the price tables that a chip names, or say which of them cannot be had."""
    from neurosim.energytable import load_energy_table
    from neurosim.errors import ChipError

    try:
        return [load_energy_table(table) for table in chip.energy_tables]
    except ChipError as error:
        raise ChipError(f"chip {chip.name!r}: energy_tables: {error}") from error


def doctor(as_json: Json = False) -> None:
    """Check that neurosim works here, and say how to mend what does not."""
    from neurosim.commands.show import make_console, write_json
    from neurosim.doctor import FAIL, check_all

    checks = check_all()
    if as_json:
        write_json([check._asdict() for check in checks])
    else:
        console = make_console()
        styles = {"ok": "green", "warn": "yellow", "fail": "bold red"}
        for check in checks:
            console.print(f"{check.state:<5}", style=styles[check.state], end="")
            console.print(f" {check.name:<14} {check.detail}", soft_wrap=True)
            if check.remedy:
                console.print(f"{'':<21}{check.remedy}", soft_wrap=True)
    if any(check.state == FAIL for check in checks):
        raise typer.Exit(1)
