"""Read damaged files of one format in this process, and print a line of JSON for each; `benchmarks.fuzz` starts and watches it."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import sys
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fuzz_formats import FORMATS, Format, Unavailable

MEMORY = 1 << 30  # above what the process has once everything is imported and warm
MOST_LINES = 1  # of an error
MOST_LETTERS = 4000  # of an error


def case(format: Format, seeds: list[bytes], seed: int, number: int) -> bytes:
    """Return a damaged file by its number: the same for every run."""
    random = np.random.default_rng([seed, *format.name.encode(), number])
    content = seeds[int(random.integers(len(seeds)))]
    return format.damage(content, seeds, random)


def fingerprint(answer: Any) -> str:
    """Return a digest of what was read."""
    digest = hashlib.sha256()
    _feed(digest, answer)
    return digest.hexdigest()


def _feed(digest: Any, value: Any) -> None:
    if isinstance(value, np.ndarray):
        digest.update(f"{value.dtype}{value.shape}".encode() + np.ascontiguousarray(value).tobytes())
    elif isinstance(value, Mapping):
        for key in value:
            _feed(digest, key)
            _feed(digest, value[key])
    elif isinstance(value, (tuple, list)):
        digest.update(f"{len(value)}[".encode())
        for each in value:
            _feed(digest, each)
    else:
        digest.update(repr(value).encode("utf-8", "backslashreplace"))


def outcome(format: Format, path: Path, originals: set[str]) -> tuple[str, str]:
    """Read a file; return what happened ("same", "read", "refused", "failed", "memory") and in which words."""
    from neurosim.errors import NeurosimError

    try:
        answer = format.read(path)
    except NeurosimError as error:
        text = str(error)
        if _memory(error):
            return "memory", f"a MemoryError became: {text}"
        if not text or "\n" in text or len(text) > MOST_LETTERS:
            return "failed", f"an error of {len(text)} letters in {text.count(chr(10)) + 1} lines: {text[:300]!r}"
        return "refused", f"{type(error).__name__}: {text}"
    except MemoryError:
        return "memory", traceback.format_exc()
    except Exception:  # what this program is for: anything that is not a NeurosimError is a finding
        return "failed", traceback.format_exc()
    return ("same" if fingerprint(answer) in originals else "read"), ""


def _memory(error: BaseException | None) -> bool:
    """Whether a MemoryError is among the causes."""
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False


def memory_limit(more: int = MEMORY) -> int:
    """Return so much address space beyond what this process has."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE") + more


def limit_memory(limit: int = resource.RLIM_INFINITY) -> None:
    """Let this process have so much address space; any by default, for making a damaged file."""
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))


def main() -> None:
    """Read the cases from `first` to `last` - 1."""
    from neurosim.errors import NeurosimError

    parser = argparse.ArgumentParser()
    parser.add_argument("format")
    for name in ("seed", "first", "last"):
        parser.add_argument(name, type=int)
    parser.add_argument("folder", type=Path)
    asked = parser.parse_args()
    lines = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints is no answer
    format = FORMATS[asked.format]
    path = asked.folder / format.file
    try:
        seeds, refused, originals = format.seeds(), "", set()
        for content in seeds:
            path.write_bytes(content)
            try:
                originals.add(fingerprint(format.read(path)))
            except NeurosimError as error:
                refused = str(error)
        if not originals:
            raise Unavailable(f"whole files are refused: {refused}")
    except Unavailable as error:
        lines.write(json.dumps({"unavailable": str(error)}) + "\n")
        return
    limit = memory_limit()
    lines.write(json.dumps({"ready": len(seeds)}) + "\n")
    for number in range(asked.first, asked.last):
        limit_memory()
        path.write_bytes(case(format, seeds, asked.seed, number))
        limit_memory(limit)
        begun = time.monotonic()
        what, text = outcome(format, path, originals)
        found = {"number": number, "outcome": what, "text": text, "seconds": time.monotonic() - begun}
        lines.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    sys.exit(main())
