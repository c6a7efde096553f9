"""Does a damaged or hostile file ever do more than be refused?

``python -m benchmarks.fuzz --format model --n 10000 --seed 1`` reads damaged files of a format in a process of its own, with an
address space of 1 GiB more than it has at the start and a time limit for each file. The same seed gives the same files. Each is
read to the same answer as a whole file ("same"), read to another one ("read": the damage made another file that is right in
itself), refused by a NeurosimError of one line ("refused"), or a finding: another exception ("failed"), a request for too much
memory ("memory"), a death ("crash") or no answer in time ("hang"). Findings are kept with what was said.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.fuzz_formats import FORMATS
from benchmarks.fuzz_worker import case
from benchmarks.measure import ROOT

GOOD = ("same", "read", "refused")
BAD = ("failed", "memory", "crash", "hang")
START_S = 300.0  # for the imports, the compilers and the whole files


class Fuzzed(NamedTuple):
    """What came of the files of a format.

    Attributes
    ----------
    format : str
    n : int
        Files read.
    counts : dict of str to int
        By outcome.
    findings : list of dict
        Number of the case, outcome and text of what must not be.
    slowest_s : float
    unavailable : str
        Why nothing was read; "" otherwise.
    refusals : list of (int, str)
        The commonest errors, digits apart.
    """

    format: str
    n: int
    counts: dict[str, int]
    findings: list[dict[str, Any]]
    slowest_s: float
    unavailable: str
    refusals: list[tuple[int, str]]


def fuzz(name: str, n: int, seed: int, keep: Path | None = None, limit_s: float = 20.0, first: int = 0) -> Fuzzed:
    """Read `n` damaged files of a format.

    Parameters
    ----------
    name : str
        A key of `FORMATS`.
    n, seed : int
        How many files, and which.
    keep : Path or None
        Folder for the files of findings.
    limit_s : float
        Time for a file.
    first : int
        Number of the first file.
    """
    counts: Counter[str] = Counter()
    refusals: Counter[str] = Counter()
    findings: list[dict[str, Any]] = []
    slowest, number = 0.0, first
    with tempfile.TemporaryDirectory() as folder:
        while number < first + n:
            for found in _worker(name, seed, number, first + n, Path(folder), limit_s):
                if "unavailable" in found:
                    return Fuzzed(name, 0, {}, [], 0.0, found["unavailable"], [])
                counts[found["outcome"]] += 1
                slowest = max(slowest, found["seconds"])
                number = found["number"] + 1
                if found["outcome"] == "refused":
                    refusals["".join("#" if sign.isdigit() else sign for sign in found["text"])[-160:]] += 1
                if found["outcome"] in BAD:
                    findings.append(found)
    if keep is not None and findings:
        _keep(name, seed, findings, keep)
    return Fuzzed(name, n, dict(counts), findings, slowest, "", [(k, text) for text, k in refusals.most_common(8)])


def worker_command() -> list[str]:
    """Return what starts a process that reads files."""
    return [sys.executable, "-m", "benchmarks.fuzz_worker"]


def _worker(name: str, seed: int, first: int, last: int, folder: Path, limit_s: float) -> Any:
    """Yield what a process says of the files from `first` on, until it is done, dead or killed."""
    paths = [str(ROOT), str(ROOT / "backends"), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in paths if path), "OMP_NUM_THREADS": "1"}
    command = [*worker_command(), name, str(seed), str(first), str(last), str(folder)]
    errors = folder / "stderr.txt"
    with errors.open("wb") as stderr:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, env=environment, cwd=ROOT, text=True)
    lines: queue.Queue[str | None] = queue.Queue()

    def pump() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line)
        lines.put(None)

    pumping = threading.Thread(target=pump, daemon=True)
    pumping.start()
    number, limit, ready = first, START_S, False
    try:
        while True:
            try:
                line = lines.get(timeout=limit)
            except queue.Empty:
                if not ready:
                    raise RuntimeError(f"{name}: whole files were not read in {START_S} s") from None
                yield {"number": number, "outcome": "hang", "text": f"no answer in {limit_s} s", "seconds": limit_s}
                return
            if line is None:
                code = process.wait()
                if not ready:
                    raise RuntimeError(f"{name}: whole files are not read:\n{errors.read_text()[-3000:]}")
                if number < last:
                    text = f"the process ended with {code}\n{errors.read_text()[-3000:]}"
                    yield {"number": number, "outcome": "crash", "text": text, "seconds": 0.0}
                return
            found = json.loads(line)
            if "unavailable" in found:
                yield found
                return
            if "ready" in found:
                ready, limit = True, limit_s
                continue
            number = found["number"] + 1
            yield found
    finally:
        process.kill()
        process.wait()
        pumping.join()
        assert process.stdout is not None
        process.stdout.close()


def _keep(name: str, seed: int, findings: list[dict[str, Any]], keep: Path) -> None:
    """Write the files of findings, and what was said."""
    format = FORMATS[name]
    seeds = format.seeds()
    keep.mkdir(parents=True, exist_ok=True)
    for found in findings[:100]:
        stem = f"{name}-{seed}-{found['number']}"
        (keep / f"{stem}-{format.file}").write_bytes(case(format, seeds, seed, found["number"]))
        (keep / f"{stem}.txt").write_text(f"{found['outcome']}\n{found['text']}\n", encoding="utf-8")


def table(results: list[Fuzzed]) -> str:
    """Return a table in Markdown."""
    rows = ["| format | files | same | other right answer | refused | " + " | ".join(BAD) + " | slowest |",
            "| --- |" + " ---: |" * (len(BAD) + 5)]  # fmt: skip
    for result in results:
        if result.unavailable:
            rows.append(f"| {result.format} | not read: {result.unavailable} |")
            continue
        cells = [result.counts.get(what, 0) for what in (*GOOD, *BAD)]
        rows.append(f"| {result.format} | {result.n} | {' | '.join(map(str, cells))} | {result.slowest_s:.2f} s |")
    return "\n".join(rows)


def main(arguments: list[str] | None = None) -> int:
    """Read the command line and run what it asks for; 1 if there are findings."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__)
    parser.add_argument(
        "--format", action="append", choices=list(FORMATS), help="this one; may be repeated (default: all)"
    )
    parser.add_argument("--n", type=int, default=10_000, help="damaged files of each format (default: 10000)")
    parser.add_argument("--first", type=int, default=0, help="number of the first file (default: 0)")
    parser.add_argument("--seed", type=int, default=1, help="which files (default: 1)")
    parser.add_argument("--limit", type=float, default=20.0, help="seconds for a file (default: 20)")
    parser.add_argument("--out", type=Path, help="write the results to this JSON file")
    parser.add_argument("--keep", type=Path, help="keep the files of findings in this folder")
    parser.add_argument("--refusals", action="store_true", help="show the commonest errors as well")
    asked = parser.parse_args(arguments)
    results = []
    for name in asked.format or FORMATS:
        begun = time.monotonic()
        result = fuzz(name, asked.n, asked.seed, asked.keep, asked.limit, asked.first)
        results.append(result)
        sys.stderr.write(f"{name}: {result.counts or result.unavailable} in {time.monotonic() - begun:.0f} s\n")
        for found in result.findings[:5]:
            sys.stderr.write(f"  {found['number']} {found['outcome']}: {found['text'].strip()[-600:]}\n")
        if asked.refusals:
            sys.stderr.writelines(f"  {n} x {text}\n" for n, text in result.refusals)
        if asked.out is not None:
            stored = {"n": asked.n, "seed": asked.seed, "results": [each._asdict() for each in results]}
            asked.out.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    print(table(results))
    return int(any(result.findings for result in results))


if __name__ == "__main__":
    sys.exit(main())
