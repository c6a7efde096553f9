"""A few damaged files of every format; `python -m benchmarks.fuzz` reads as many as one likes, with limits on memory and time."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2]))

from benchmarks.fuzz import BAD, fuzz, table
from benchmarks.fuzz_formats import FORMATS, Format, Unavailable
from benchmarks.fuzz_mutations import changed_document, damaged
from benchmarks.fuzz_worker import case, fingerprint, outcome
from neurosim.errors import DataError, NeurosimError

SEED = 2
N = 120
APART = ("nir", "net", "shd")  # HDF5's readers have a child process, which the harness shares among files


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in APART])
def test_damaged_files_are_refused_or_read_right(name: str, tmp_path: Path) -> None:
    format = FORMATS[name]
    path = tmp_path / format.file
    originals = set()
    try:
        seeds = format.seeds()
        for content in seeds:
            path.write_bytes(content)
            try:
                originals.add(fingerprint(format.read(path)))
            except NeurosimError:
                continue  # of real files some are refused for a named reason
    except Unavailable as error:
        pytest.skip(str(error))
    assert originals, "no whole file is read"
    seen = set()
    for number in range(N):
        path.write_bytes(case(format, seeds, SEED, number))
        what, text = outcome(format, path, originals)
        assert what not in BAD, f"case {number}: {text}"
        seen.add(what)
    assert seen & {"read", "refused"}


@pytest.mark.parametrize("name", APART)
def test_damaged_hdf5_files_are_refused_or_read_right(name: str) -> None:
    result = fuzz(name, 30, SEED)
    if result.unavailable:
        pytest.skip(result.unavailable)
    assert not result.findings, result.findings[0]["text"]
    assert sum(result.counts.values()) == 30


def test_cases_are_the_same_every_time() -> None:
    format = FORMATS["model"]
    seeds = format.seeds()
    assert [case(format, seeds, 1, i) for i in range(30)] == [case(format, format.seeds(), 1, i) for i in range(30)]
    assert len({case(format, seeds, 1, i) for i in range(30)}) > 25
    assert case(format, seeds, 1, 0) != case(format, seeds, 2, 0)


def reader(answer: object) -> Format:
    def read(path: Path) -> object:
        if isinstance(answer, BaseException):
            raise answer
        return answer

    return Format("x", "x.bin", lambda: [b"x"], read)


def caused(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        ([1, {"a": 2}], "same"),
        ([1, {"a": 3}], "read"),
        (DataError("file 'x': is wrong; change it"), "refused"),
        (DataError("two\nlines"), "failed"),
        (DataError(""), "failed"),
        (DataError("x" * 10_000), "failed"),
        (ValueError("not ours"), "failed"),
        (RecursionError(), "failed"),
        (MemoryError(), "memory"),
        (caused(DataError("hidden"), MemoryError()), "memory"),
    ],
)
def test_what_happened_is_told_apart(answer: object, what: str, tmp_path: Path) -> None:
    assert outcome(reader(answer), tmp_path, {fingerprint([1, {"a": 2}])})[0] == what


def test_dead_and_silent_processes_are_findings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The harness itself: a worker that dies at one file and hangs at another is started again behind each."""
    worker = tmp_path / "worker.py"
    worker.write_text(
        "import json, os, sys, time\n"
        "first, last = int(sys.argv[3]), int(sys.argv[4])\n"
        "print(json.dumps({'ready': 1}), flush=True)\n"
        "for number in range(first, last):\n"
        "    if number == 2: os.abort()\n"
        "    if number == 4: time.sleep(60)\n"
        "    print(json.dumps({'number': number, 'outcome': 'refused', 'text': 'no', 'seconds': 0.0}), flush=True)\n"
    )
    monkeypatch.setattr("benchmarks.fuzz.worker_command", lambda: [sys.executable, str(worker)])
    result = fuzz("model", 6, 1, tmp_path / "keep", limit_s=1.0)
    assert result.counts == {"refused": 4, "crash": 1, "hang": 1}
    assert [(found["number"], found["outcome"]) for found in result.findings] == [(2, "crash"), (4, "hang")]
    assert sorted(path.suffix for path in (tmp_path / "keep").iterdir()) == [".npz", ".npz", ".txt", ".txt"]
    assert "| model | 6 | 0 | 0 | 4 | 0 | 0 | 1 | 1 |" in table([result])


def test_every_kind_of_damage_takes_any_content() -> None:
    import numpy as np

    for number in range(200):
        random = np.random.default_rng(number)
        assert isinstance(damaged(random.bytes(int(random.integers(0, 40))), [b"", b"other"], random), bytes)
        assert changed_document({"a": [1, 2.5, {"b": None}], "c": "text"}, random) is not None
