"""What a process group left behind on Linux: its processes and its shared-memory blocks."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

PROC = Path("/proc")
SHARED_MEMORY = Path("/dev/shm")
KILL_WAIT_S = 2.0


def members(group: int) -> list[int]:
    """Return the processes of a process group, zombies left out."""
    found = []
    for entry in PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            text = (entry / "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            continue
        state, _, process_group = text.rpartition(")")[2].split()[:3]
        if int(process_group) == group and state not in "ZX":
            found.append(int(entry.name))
    return sorted(found)


def blocks(prefix: str) -> list[Path]:
    """Return the shared-memory blocks whose name starts with the group's own prefix."""
    return sorted(path for path in SHARED_MEMORY.iterdir() if path.name.startswith(prefix))


def remove_blocks(prefix: str) -> None:
    """Remove the shared-memory blocks of a group; those of other programs are never touched."""
    for path in blocks(prefix):
        path.unlink(missing_ok=True)


def kill_others(group: int) -> None:
    """Kill all processes of the caller's group but itself, and wait for them."""
    deadline = time.monotonic() + KILL_WAIT_S
    while others := [pid for pid in members(group) if pid != os.getpid()]:
        for pid in others:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        _reap()
        if time.monotonic() > deadline:
            return
        time.sleep(0.01)
    _reap()


def _reap() -> None:
    """Collect the caller's children that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return
