"""Notice a Lava process that ends during a run: Lava itself then waits for ever, and tells nobody."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import Any

LOOK_S = 0.2


@contextmanager
def watching(actors: list[Any], complain: Callable[[str], None]) -> Iterator[None]:
    """Call `complain` from a thread with what a process died of, if one ends before the block does.

    Parameters
    ----------
    actors : list of lava SystemProcess
        Processes of a runtime; none may end in the block.
    complain : callable
        Called once at most.
    """
    over = threading.Event()
    thread = threading.Thread(target=_watch, args=(actors, complain, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _watch(actors: list[Any], complain: Callable[[str], None], over: threading.Event) -> None:
    while not over.is_set():
        # _pconn is the pipe on which Lava's process wrapper sends its exception; a killed one sends nothing.
        wait([actor.sentinel for actor in actors] + [actor._pconn for actor in actors], LOOK_S)
        for actor in actors:
            if over.is_set():
                return
            if actor.exception:
                complain(str(actor.exception[1]))
                return
            if actor.exitcode is not None:
                complain(f"a process of Lava ended with exit code {actor.exitcode} (-n: killed by signal n)")
                return
