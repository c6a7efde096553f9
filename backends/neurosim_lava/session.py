"""The caller's side of the process that runs Lava: start it, talk to it with time limits, end it without traces."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Mapping
from typing import IO

from neurosim.errors import BackendError
from neurosim_lava import group, wire
from neurosim_lava.place import Place, worker_environment

BOOT = "import sys; sys.path = [p for p in sys.path if p]; from neurosim_lava.worker import main; main(sys.argv[1:])"
END_WAIT_S = 5.0
BUILDS_PER_WORKER = 100  # each build leaves about 2 MB behind in the process that made it
LOG_TAIL = 2000  # characters of Lava's output that an error quotes


class Session:
    """One worker process; a request that fails ends it.

    Parameters
    ----------
    owner : str
        What errors name, such as "network 'mnist'".
    place : Place
        Where Lava lies.
    start_limit_s : float
        Seconds that importing Lava may take.
    """

    def __init__(self, owner: str, place: Place, start_limit_s: float) -> None:
        self._owner, self._what = owner, ""
        self._prefix = f"neurosim_lava_{os.getpid()}_{secrets.token_hex(4)}_"
        self._log: IO[bytes] = tempfile.TemporaryFile()
        child_read, self._write = os.pipe()
        self._read, child_write = os.pipe()
        os.set_blocking(self._write, False)
        os.set_blocking(self._read, False)
        command = [sys.executable, "-c", BOOT, str(child_read), str(child_write), str(os.getpid()), self._prefix]
        try:
            process = subprocess.Popen(
                command, env=worker_environment(place), pass_fds=(child_read, child_write), start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        finally:
            os.close(child_read)
            os.close(child_write)
        self.group = process.pid
        pipes = (self._write, self._read)
        self._end = weakref.finalize(self, _end_group, process, pipes, self._log, self._prefix, os.getpid())
        self._await_stages({"start": start_limit_s})

    @property
    def prefix(self) -> str:
        """First part of the names of all shared-memory blocks of this session."""
        return self._prefix

    @property
    def open(self) -> bool:
        """Whether the worker can take a request."""
        return self._end.alive

    def request(
        self, header: wire.Header, arrays: wire.Arrays, limits_s: Mapping[str, float], what: str = ""
    ) -> wire.Arrays:
        """Send a request and return the arrays of the answer.

        Parameters
        ----------
        header, arrays
            The message.
        limits_s : mapping of str to float
            Seconds allowed for each stage, in the order in which the worker reports them.
        what : str
            What errors name beside the owner, such as "the learning engine".
        """
        self._what = f" ({what})" if what else ""
        first = next(iter(limits_s))
        try:
            deadline = time.monotonic() + limits_s[first]
            wire.send(self._write, wire.encode(header, arrays), self._worker_lives, deadline)
        except wire.Expired:
            self._fail(f"Lava took no request within {limits_s[first]:.1f} s and was ended; try again")
        except wire.PeerGone:
            self._fail(f"the process that runs Lava died before {first}.{self._log_tail()}")
        except BaseException:
            self.close()
            raise
        return self._await_stages(limits_s)

    def close(self) -> None:
        """End the worker and everything it started; calling it again does nothing."""
        self._end()

    def _await_stages(self, limits_s: Mapping[str, float]) -> wire.Arrays:
        """Wait until the worker has reported every stage; return what came with the last report."""
        arrays: wire.Arrays = {}
        stage, begin = "", time.monotonic()
        try:
            for stage, limit in limits_s.items():
                begin = time.monotonic()
                header, arrays = wire.receive(self._read, self._worker_lives, begin + limit)
                if "error" in header:
                    spent = time.monotonic() - begin
                    self._fail(f"Lava failed in {stage!r} after {spent:.1f} s.\n{header['error']}")
                assert header["stage"] == stage
        except wire.Expired:
            limit = limits_s[stage]
            self._fail(
                f"Lava did not finish {stage!r} within {limit:.1f} s and was ended; if the machine is slow, "
                f"allow more with LavaBackend(patience=10).{self._log_tail()}"
            )
        except wire.PeerGone:
            spent = time.monotonic() - begin
            self._fail(f"the process that runs Lava died in {stage!r} after {spent:.1f} s.{self._log_tail()}")
        except BaseException:
            self.close()
            raise
        return arrays

    def _fail(self, text: str) -> None:
        self.close()
        raise BackendError(f"{self._owner}{self._what}: {text}")

    def _worker_lives(self) -> bool:
        return not _has_ended(self.group)

    def _log_tail(self) -> str:
        self._log.seek(0)
        text = self._log.read().decode(errors="replace").strip()[-LOG_TAIL:]
        return f" Its output ends with:\n{text}" if text else ""


class Worker:
    """What gives a live session: the same one again, a new one after a failure or after many builds.

    Parameters as in `Session`; nothing is started before the first `session`.
    """

    def __init__(self, owner: str, place: Place, start_limit_s: float) -> None:
        self._arguments = (owner, place, start_limit_s)
        self._builds = 0
        self.current: Session | None = None

    def session(self) -> Session:
        """Return a session for one more build."""
        if self.current is not None and (not self.current.open or self._builds >= BUILDS_PER_WORKER):
            self.close()
        if self.current is None or not self.current.open:
            self.current = Session(*self._arguments)
            self._builds = 0
        self._builds += 1
        return self.current

    def close(self) -> None:
        """End what runs; the next `session` starts anew."""
        if self.current is not None:
            self.current.close()


def _has_ended(pid: int) -> bool:
    """Whether a child has ended; it is not collected, so that its number, which names the group, stays taken."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:  # the caller's program collects all children itself
        return True


def _end_group(
    process: subprocess.Popen[bytes], pipes: tuple[int, int], log: IO[bytes], prefix: str, owner: int
) -> None:
    """End a process group: ask by closing the pipe, wait, then kill; remove its shared memory."""
    for end in pipes:
        os.close(end)
    log.close()
    if os.getpid() != owner:  # a forked copy of the caller must not end the caller's Lava
        return
    deadline = time.monotonic() + END_WAIT_S
    while not _has_ended(process.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # nobody was left
    process.wait()
    deadline = time.monotonic() + END_WAIT_S
    while group.members(process.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    group.remove_blocks(prefix)
