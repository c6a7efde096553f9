"""The commands about recordings of events: what they are like, and in another format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurosim.commands.options import Json

if TYPE_CHECKING:
    from neurosim.data.eventfile import EventFile
    from neurosim.data.eventstats import EventStats
    from neurosim.data.recordings import Recording
    from neurosim.tables import Table

MAX_FAILED = 10  # files that cannot be read, listed by name

data_app = typer.Typer(
    no_args_is_help=True,
    help="Recordings of event cameras and artificial cochleas: N-MNIST, AEDAT, Prophesee, SHD, numpy, text.",
)
Sample = Annotated[int, typer.Option("--sample", min=0, help="Which recording of a file that holds several, from 0.")]
Strict = Annotated[bool, typer.Option("--strict/--no-strict", help="Whether a malformed event is an error; otherwise such events are "
                   "left out and counted.")]  # fmt: skip
Sensor = Annotated[str | None, typer.Option("--sensor", metavar="WIDTHxHEIGHT", help="Size of the sensor, where the file does not "
                   "say it.")]  # fmt: skip


@data_app.command()
def info(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A recording, or a folder with some.")],
    plot: Annotated[Path | None, typer.Option("--plot", metavar="OUT.png or OUT.svg", help="Draw the events by pixel and over "
                    "time.")] = None,
    sample: Sample = 0, sensor: Sensor = None, strict: Strict = True, as_json: Json = False,
) -> None:  # fmt: skip
    """Tell what a recording holds: events, duration, sensor, rate, what is malformed; of a folder, all recordings together."""
    from neurosim.commands.show import make_console, show_heading, show_lines, show_table, write_json
    from neurosim.errors import ConfigError

    if path.is_dir():
        for name, given in (("--plot", plot), ("--sample", sample or None), ("--sensor", sensor)):
            if given is not None:
                raise ConfigError(f"{name}: is for one recording, {str(path)!r} is a folder; give a file in it")
        _folder_info(path, strict, as_json)
        return
    file = _open(path, sample, sensor, strict)
    stats = _count(file)
    if plot is not None:
        from neurosim.figures.events import save_events_figure

        save_events_figure({"pixels": stats.pixels, "rate": stats.rate, "bin_us": stats.bin_us}, plot)
    if as_json:
        write_json(_told(file, stats, sample) | {"files": [str(plot)] if plot else []})
        return
    console = make_console()
    show_table(console, _table(file, stats, sample))
    if file.n_malformed:
        show_heading(console, "Malformed events, left out")
        show_lines(console, [f"{n:,} {why}" for why, n in file.malformed.items()])
        show_lines(console, [f"the first is {file.first_malformed}"])
    if plot is not None:
        show_heading(console, "Files")
        show_lines(console, [str(plot)])


@data_app.command()
def convert(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="A recording.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The file to write.")],
    to: Annotated[str | None, typer.Option("--to", metavar="FORMAT", help="npz, npy, text, atis (N-MNIST's .bin) or dat "
                  "(Prophesee's); by default the one of OUT's suffix.")] = None,
    from_time: Annotated[float | None, typer.Option("--from-time", min=0, metavar="S", help="Leave out events before so many "
                         "seconds after the first.")] = None,
    to_time: Annotated[float | None, typer.Option("--to-time", min=0, metavar="S", help="Leave out events from so many seconds "
                       "after the first on.")] = None,
    from_zero: Annotated[bool, typer.Option("--from-zero", help="Count the time from the first event of the recording.")] = False,
    sample: Sample = 0, sensor: Sensor = None, strict: Strict = True,
    force: Annotated[bool, typer.Option("--force", help="Write even if the format cannot hold the size of the sensor or the "
                     "label.")] = False,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Write a recording, or a part of it, in another format; nothing is written if the format cannot hold it."""
    from neurosim.commands.progress import EventsView
    from neurosim.commands.show import make_console, show_lines, write_json
    from neurosim.data import writers
    from neurosim.errors import ConfigError

    format = _target(to, out)
    if from_time is not None and to_time is not None and to_time <= from_time:
        raise ConfigError(f"--to-time: {to_time:g} s is not after --from-time {from_time:g} s; give a later one")
    if source.exists() and out.exists() and source.samefile(out):
        raise ConfigError(f"OUT: {str(out)!r} is the recording itself; give another name")
    file = _open(source, sample, sensor, strict)
    selection = writers.Selection(_microseconds(from_time), _microseconds(to_time), from_zero)
    console = make_console(stderr=as_json)
    with EventsView(console) as view:
        stats = writers.convert(file, out, format, selection, force=force, on_progress=view.show)
    if as_json:
        write_json({"file": str(out), "format": format, "events": stats.n_events, "malformed": file.n_malformed})
        return
    left_out = f", {file.n_malformed:,} malformed ones left out" if file.n_malformed else ""
    show_lines(console, [f"{stats.n_events:,} events{left_out}: {out}"])


def _open(path: Path, sample: int, sensor: str | None, strict: bool) -> EventFile:
    """Open a recording as the options say."""
    import re

    from neurosim.data.readers import open_events
    from neurosim.errors import ConfigError

    size = None
    if sensor is not None:
        match = re.fullmatch(r"(\d{1,6})x(\d{1,6})", sensor)
        if match is None:
            raise ConfigError(f"--sensor: {sensor!r} is not a width and a height; write it as 346x260")
        size = int(match[1]), int(match[2])
    return open_events(path, strict=strict, sensor_size=size, sample=sample)


def _target(to: str | None, out: Path) -> str:
    """Return the format to write."""
    from neurosim.data.writers import TARGETS
    from neurosim.errors import ConfigError

    if to is not None:
        if to not in TARGETS:
            raise ConfigError(f"--to: format {to!r} is not written; choose from {', '.join(TARGETS)}")
        return to
    found = [name for name, target in TARGETS.items() if target.suffix == out.suffix.lower()]
    if not found:
        known = ", ".join(f"{target.suffix} ({name})" for name, target in TARGETS.items())
        raise ConfigError(
            f"OUT: no format that is written has the suffix {out.suffix!r}; they are {known}. Or give --to FORMAT"
        )
    return found[0]


def _microseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1_000_000)


def _count(file: EventFile) -> EventStats:
    """Read a recording to its end."""
    from neurosim.commands.progress import EventsView
    from neurosim.commands.show import make_console
    from neurosim.data.eventstats import EventStats

    stats = EventStats()
    with EventsView(make_console(stderr=True)) as view:
        for events in file.chunks(1 << 18):
            stats.add(events)
            view.show("read", stats.n_events, None)
    return stats


def _told(file: EventFile, stats: EventStats, sample: int) -> dict[str, Any]:
    """Return all that is known of a recording, for JSON."""
    busiest = stats.busiest
    return {
        "file": file.name, "format": file.format, "recordings": file.n_samples, "recording": sample, "label": file.label,
        "events": stats.n_events, "on": stats.n_on, "off": stats.n_events - stats.n_on,
        "first_us": stats.first_us, "last_us": stats.last_us, "duration_us": stats.duration_us, "rate_hz": stats.rate_hz,
        "sensor_size": file.sensor_size, "extent": stats.extent,
        "busiest": None if busiest is None else dict(zip(("x", "y", "events"), busiest, strict=True)),
        "malformed": file.n_malformed, "malformed_by_kind": file.malformed, "first_malformed": file.first_malformed or None,
    }  # fmt: skip


def _table(file: EventFile, stats: EventStats, sample: int) -> Table:
    """Return what is known of a recording, for people."""
    from neurosim.data.readers import FORMATS
    from neurosim.tables import Table, format_share

    size, n, busiest = file.sensor_size, stats.n_events, stats.busiest
    share = n and stats.n_on / n
    rows: list[tuple[str, str | int | float | None]] = [("format", f"{file.format}: {FORMATS[file.format].title}")]
    if file.n_samples > 1:
        rows.append(("recording", f"{sample} of {file.n_samples:,}, counted from 0"))
    if file.label is not None:
        rows.append(("label", file.label))
    rows += [
        ("sensor", f"{size[0]:,} x {size[1]:,}" if size else f"not in the file; events reach {stats.extent[0]:,} x {stats.extent[1]:,}"),
        ("events", n),
        ("polarity", f"{stats.n_on:,} ON ({format_share(share)}), {n - stats.n_on:,} OFF ({format_share(1 - share)})" if n else None),
        ("duration", f"{stats.duration_us / 1e6:,.6g} s" if n else None),
        ("first event at", f"{stats.first_us:,} us" if stats.first_us is not None else None),
        ("rate", f"{stats.rate_hz:,.0f} events per second" if stats.rate_hz is not None else None),
        ("busiest pixel", f"x {busiest[0]}, y {busiest[1]}: {busiest[2]:,} events" if busiest else None),
        ("malformed", file.n_malformed),
    ]  # fmt: skip
    return Table(f"Recording {file.name}", ("what", "value"), tuple((name, _text(value)) for name, value in rows))


def _text(value: str | int | float | None) -> str:
    """Write a value as text, so that a column of them stays on the left."""
    from neurosim.tables import format_cell

    return format_cell(value)


def _folder_info(folder: Path, strict: bool, as_json: bool) -> None:
    """Tell what the recordings of a folder are like together."""
    from neurosim.commands.progress import StepsView
    from neurosim.commands.show import make_console, show_heading, show_lines, show_table, write_json
    from neurosim.data.recordings import list_event_files, look_through
    from neurosim.studies.benchsuite import Step

    files = list_event_files(folder)
    with StepsView(make_console(stderr=True)) as view:
        found = look_through(
            folder, files, strict=strict, on_file=lambda done, path: view.show(Step(done, len(files), path.name))
        )
    if as_json:
        write_json(_folder_told(folder, files, found))
        return
    console = make_console()
    for table in _folder_tables(folder, files, found):
        show_table(console, table)
    failed = [one for one in found if one.error]
    if failed:
        show_heading(console, f"{len(failed):,} cannot be read")
        show_lines(console, [one.error for one in failed[:MAX_FAILED]])
        if len(failed) > MAX_FAILED:
            show_lines(console, [f"and {len(failed) - MAX_FAILED:,} more; --json lists all"])


def _folder_told(folder: Path, files: list[Path], found: list[Recording]) -> dict[str, Any]:
    from neurosim.data.recordings import classes, ranges

    read = [one for one in found if not one.error]
    return {
        "folder": str(folder), "files": len(files), "recordings": len(read),
        "formats": sorted({one.format for one in read}), "events": sum(one.n_events for one in read),
        "on": sum(one.n_on for one in read), "extent": _extent(read),
        "malformed": sum(one.n_malformed for one in read), "classes": classes(read),
        "ranges": {name: one._asdict() for name, one in ranges(read).items()},
        "cannot_be_read": {str(one.path): one.error for one in found if one.error},
    }  # fmt: skip


def _extent(read: list[Recording]) -> list[int]:
    return [max((one.extent[i] for one in read), default=0) for i in (0, 1)]


def _folder_tables(folder: Path, files: list[Path], found: list[Recording]) -> list[Table]:
    from neurosim.data.recordings import classes, ranges
    from neurosim.tables import Table, format_share

    read = [one for one in found if not one.error]
    n_events = sum(one.n_events for one in read)
    n_on = sum(one.n_on for one in read)
    width, height = _extent(read)
    rows = (
        ("files", _text(len(files))),
        ("recordings", _text(len(read))),
        ("formats", ", ".join(sorted({one.format for one in read})) or "–"),
        ("events", _text(n_events)),
        ("polarity", f"{format_share(n_on / n_events)} ON" if n_events else "–"),
        ("events reach", f"{width:,} x {height:,}"),
        ("malformed", _text(sum(one.n_malformed for one in read))),
    )
    spread = tuple((name, one.least, one.median, one.most) for name, one in ranges(read).items())
    counted = tuple((name, n) for name, n in classes(read).items())
    return [
        Table(f"Recordings in {folder}", ("what", "value"), rows),
        Table("Of one recording", ("what", "least", "median", "most"), spread),
        Table("Recordings of each class", ("class", "recordings"), counted),
    ]
