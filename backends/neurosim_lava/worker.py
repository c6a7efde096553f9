"""The process that runs Lava: leads its own process group, obeys one pipe, and ends with whoever started it."""

from __future__ import annotations

import os
import queue
import sys
import threading
import traceback

from neurosim_lava import group, shim, wire

TELLING = threading.Lock()  # messages of two threads must not mix

Requests = queue.SimpleQueue[tuple[wire.Header, wire.Arrays]]


def main(arguments: list[str]) -> None:
    """Serve requests until the pipe closes.

    Parameters
    ----------
    arguments : list of str
        Descriptor to read, descriptor to write, process that started us, prefix for shared memory.
    """
    read, write, parent, prefix = int(arguments[0]), int(arguments[1]), int(arguments[2]), arguments[3]
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    requests: Requests = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(read, parent, prefix, requests), daemon=True).start()
    shim.name_shared_memory(prefix)
    try:
        shim.import_var_model()
        from neurosim_lava import build, hardware, learnbuild
    except ImportError:
        _tell(write, {"error": traceback.format_exc()})
        raise
    kinds = {
        "run": build.run,
        "hardware": hardware.run,
        "members": learnbuild.run_members,
        "update": learnbuild.run_update,
    }
    _tell(write, {"stage": "start"})
    while True:
        header, arrays = requests.get()
        try:
            found = kinds[header.get("kind", "run")](
                header,
                arrays,
                report=lambda stage: _tell(write, {"stage": stage}),
                complain=lambda text: _tell(write, {"error": text}),
            )
        except Exception:  # whatever Lava raises is reported to the caller, who ends this process
            _tell(write, {"error": traceback.format_exc()})
        else:
            _tell(write, {"stage": "read"}, found)


def _listen(read: int, parent: int, prefix: str, requests: Requests) -> None:
    """Take requests; when the other side is gone, end the whole group and leave nothing behind."""
    try:
        while True:
            requests.put(wire.receive(read, alive=lambda: os.getppid() == parent))
    except wire.PeerGone:
        group.kill_others(os.getpgrp())
        group.remove_blocks(prefix)
        os._exit(0)


def _tell(write: int, header: wire.Header, arrays: wire.Arrays | None = None) -> None:
    try:
        with TELLING:
            wire.send(write, wire.encode(header, arrays or {}), alive=lambda: True)
    except wire.PeerGone:
        sys.exit("neurosim closed the pipe")
