"""``neurosim data info`` and ``neurosim data convert``: what they show, write and refuse."""

import io
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from rich.console import Console
from tiny_sets import event_bytes
from typer.testing import CliRunner

from neurosim.cli import app
from neurosim.commands.progress import EventsView
from neurosim.data.eventtype import EVENT
from neurosim.data.readers import open_events
from neurosim.data.writers import TARGETS

EVENTS = [(0, 0, 0, 10), (33, 1, 1, 105_000), (33, 1, 1, 105_001), (2, 33, 0, 314_999)]


def call(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["data", *map(str, arguments)])


def output(*arguments: object) -> str:
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    return str(result.stdout)


def error(*arguments: object) -> str:
    result = call(*arguments)
    assert result.exit_code == 1, result.output
    assert result.stdout == "" and result.stderr.count("\n") == 1
    return str(result.stderr)


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.chdir(tmp_path)
    Path("a.bin").write_bytes(event_bytes(EVENTS))
    Path("bad.bin").write_bytes(event_bytes([*EVENTS, (50, 2, 0, 314_999)] + [EVENTS[-1]] * 200))


def test_info_tells_what_a_recording_holds() -> None:
    shown = output("info", "a.bin")
    for text in ("atis: N-MNIST and N-Caltech101", "34 x 34", "2 ON (50 %), 2 OFF (50 %)", "0.314989 s", "10 us",
                 "13 events per second", "x 33, y 1: 2 events", "malformed"):  # fmt: skip
        assert text in shown
    found = json.loads(output("info", "a.bin", "--json"))
    assert found["sensor_size"] == [34, 34] and found["busiest"] == {"x": 33, "y": 1, "events": 2}
    assert (found["events"], found["on"], found["off"], found["first_us"], found["last_us"]) == (4, 2, 2, 10, 314_999)
    assert (found["malformed"], found["first_malformed"], found["label"], found["files"]) == (0, None, None, [])


def test_info_refuses_or_counts_malformed_events() -> None:
    assert "event number 4 is malformed, outside the sensor of 34 x 34 (x 50, y 2); get the file anew, or" in error(
        "info", "bad.bin"
    )
    shown = output("info", "bad.bin", "--no-strict")
    assert "1 outside the sensor" in shown and "the first is event number 4: outside the sensor" in shown
    assert "cannot be read (No such file" in error("info", "none.bin")
    assert "--sensor: '34' is not a width and a height" in error("info", "a.bin", "--sensor", "34")
    assert json.loads(output("info", "bad.bin", "--sensor", "51x34", "--json"))["sensor_size"] == [51, 34]


@pytest.mark.parametrize("form", ["png", "svg"])
def test_info_draws_a_picture(form: str) -> None:
    assert f"  p.{form}" in output("info", "a.bin", "--plot", f"p.{form}")
    first = Path(f"p.{form}").read_bytes()
    assert first[:8] == b"\x89PNG\r\n\x1a\n" if form == "png" else b"<svg" in first
    output("info", "a.bin", "--plot", f"p.{form}")
    assert Path(f"p.{form}").read_bytes() == first


def test_pictures_of_other_forms_are_refused() -> None:
    assert "'p.jpg' ends in '.jpg'; pictures are written as .png or .svg" in error("info", "a.bin", "--plot", "p.jpg")
    Path("empty.csv").write_text("t,x,y,p\n")
    assert "there are no events to draw" in error("info", "empty.csv", "--plot", "p.png")
    assert not Path("p.png").exists()


def test_info_of_one_of_many_recordings() -> None:
    with h5py.File("a.h5", "w") as file:
        for name, dtype in (("times", np.float32), ("units", np.uint16)):
            data = file.create_dataset(f"spikes/{name}", (2,), h5py.vlen_dtype(dtype))
            for i in (0, 1):
                data[i] = np.arange(3 + i, dtype=dtype)
        file["labels"] = np.array([4, 9])
    shown = output("info", "a.h5", "--sample", 1, "--plot", "p.png")
    assert "1 of 2, counted from 0" in shown and "not in the file; events reach 4 x 1" in shown
    assert json.loads(output("info", "a.h5", "--sample", 1, "--json"))["label"] == 9
    assert "recording 2 is asked for" in error("info", "a.h5", "--sample", 2)
    output("convert", "a.h5", "b.npz", "--sample", 1)
    assert open_events("b.npz").label == 9
    found = json.loads(output("info", ".", "--json", "--no-strict"))
    assert found["classes"] == {"4": 1, "9": 2} and found["recordings"] == 5


def test_info_of_a_folder_is_of_all_its_recordings() -> None:
    Path("set/one/deep").mkdir(parents=True)
    Path("set/two").mkdir()
    for i in range(3):
        Path(f"set/one/{i}.bin").write_bytes(event_bytes(EVENTS[: i + 2]))
    np.save("set/two/b.npy", np.zeros(9, EVENT))
    Path("set/two/c.csv").write_text("no table")
    shown = output("info", "set")
    for text in ("atis, npy", "one", "two", "1 cannot be read", "c.csv", "its content is of no format"):
        assert text in shown
    found = json.loads(output("info", "set", "--json"))
    assert (found["files"], found["recordings"], found["events"], found["on"]) == (5, 4, 18, 5)
    assert found["ranges"]["events"] == {"least": 2, "median": 3.5, "most": 9}
    assert found["classes"] == {"one": 3, "two": 1} and list(found["cannot_be_read"]) == ["set/two/c.csv"]
    Path("set/labels.csv").write_text("file,label\none/0.bin,10\none/1.bin,9\ntwo/b.npy,10\n")
    assert json.loads(output("info", "set", "--json"))["classes"] == {"9": 1, "10": 2}
    assert "--plot: is for one recording, 'set' is a folder" in error("info", "set", "--plot", "p.png")
    assert "holds no file with a suffix of" in error("info", "set/one/deep")


def test_convert_writes_the_format_of_the_suffix() -> None:
    for name, target in TARGETS.items():
        arguments = ("convert", "a.bin", f"b{target.suffix}", *(["--force"] if name == "npy" else []))
        assert f"4 events: b{target.suffix}" in output(*arguments)
        np.testing.assert_array_equal(open_events(f"b{target.suffix}").read(), open_events("a.bin").read())
    assert "would lose the size of its sensor" in error("convert", "a.bin", "c.npy")
    assert json.loads(output("convert", "a.bin", "b", "--to", "dat", "--json")) == {
        "file": "b", "format": "dat", "events": 4, "malformed": 0,
    }  # fmt: skip
    output("convert", "a.bin", "b.csv", "--from-time", 0.1, "--to-time", 0.2, "--from-zero")
    assert Path("b.csv").read_text() == "# sensor_size 34 34\nt,x,y,p\n104990,33,1,1\n104991,33,1,1\n"
    assert "204 events, 1 malformed ones left out: b.csv" in output("convert", "bad.bin", "b.csv", "--no-strict")


def test_convert_refuses_what_it_cannot_do() -> None:
    assert "format 'aedat4' is not written; choose from npz, npy, text, atis, dat" in error(
        "convert", "a.bin", "b", "--to", "aedat4"
    )
    assert "no format that is written has the suffix '.raw'; they are .npz (npz)" in error("convert", "a.bin", "b.raw")
    assert "is the recording itself" in error("convert", "a.bin", "a.bin")
    assert "--to-time: 1 s is not after --from-time 2 s" in error(
        "convert", "a.bin", "b.npz", "--from-time", 2, "--to-time", 1
    )
    assert "event number 4 is malformed" in error("convert", "bad.bin", "b.npz")
    assert not Path("b.npz").exists()


def test_progress_on_a_terminal_tells_rate_and_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = io.StringIO()
    with EventsView(Console(file=text, force_terminal=True, width=120)) as view:
        view.show("looked through", 1000, None)
        view.show("written", 500, 2000)
    assert "500 events written" in text.getvalue() and "a second" in text.getvalue() and "left" in text.getvalue()
    text = io.StringIO()
    with EventsView(Console(file=text)) as view:
        view.show("written", 500, 2000)
    assert text.getvalue() == ""
