"""Lava leaves no process and no shared memory behind, however its run ends."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from neurosim.errors import BackendError
from neurosim.events import Events, events_from_dense
from neurosim.network import LIF, Dense, Input, Network, Probe

pytestmark = pytest.mark.lava

NETWORK = Network(
    (Input("in", 2), LIF("out", 3, vth=20)),
    (Dense("in", "out", np.full((3, 2), 40)),),
    (Probe("out"),),
    name="contained",
)
LONG = 200_000  # steps that Lava would need minutes for
WAIT_S = 10.0

# Opens the network, prints what identifies its group, and does what ENDING says.
SCRIPT = """
import signal
import sys
from neurosim.compile_network import compile
from neurosim_lava import LavaBackend
from test_lava_containment import LONG, NETWORK, few_events
signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background are started deaf to Ctrl-C
runner = LavaBackend().open(compile(NETWORK))
runner.run(few_events())
print(runner.session.group, runner.session.prefix, flush=True)
{ending}
"""


def few_events() -> Events:
    return events_from_dense(np.ones((2, 6, 2), np.int8))


def assert_nothing_left(group_number: int, prefix: str) -> None:
    from neurosim_lava import group

    deadline = time.monotonic() + WAIT_S
    while (group.members(group_number) or group.blocks(prefix)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert group.members(group_number) == []
    assert group.blocks(prefix) == []


def wait_until_lava_runs(group_number: int) -> None:
    from neurosim_lava import group

    everyone = 2 + 4 + 1  # worker and shared-memory manager; source, dense, lif, relay; runtime service
    deadline = time.monotonic() + WAIT_S
    while len(group.members(group_number)) < everyone and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)


def spawn(ending: str) -> tuple["subprocess.Popen[str]", int, str]:
    """Start the script and return it with the group and the prefix that it printed."""
    path = os.pathsep.join([os.path.dirname(__file__), *(p for p in sys.path if p)])
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(ending=ending)],
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    words = process.stdout.readline().split()
    assert len(words) == 2, process.communicate()[1]
    return process, int(words[0]), words[1]


def test_a_running_group_is_seen(lava_runner: Callable[..., Any]) -> None:
    """The checks below would pass on a blind list, so: while Lava is up, processes are found."""
    from neurosim_lava import group

    runner = lava_runner(NETWORK)
    runner.run(few_events())
    assert group.members(runner.session.group)


def test_nothing_is_left_after_success(lava_runner: Callable[..., Any]) -> None:
    from neurosim_lava import group

    with lava_runner(NETWORK) as runner:
        runner.run(few_events())
        session = runner.session
        assert group.blocks(session.prefix) == [], "Lava was stopped after the run"
    assert_nothing_left(session.group, session.prefix)


def test_nothing_is_left_after_an_error_of_the_caller(lava_runner: Callable[..., Any]) -> None:
    with pytest.raises(ZeroDivisionError), lava_runner(NETWORK) as runner:
        runner.run(few_events())
        session = runner.session
        1 / 0  # noqa: B018
    assert_nothing_left(session.group, session.prefix)


def test_nothing_is_left_after_a_time_out(lava_runner: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from neurosim_lava import backend, group

    runner = lava_runner(NETWORK)
    runner.run(few_events())
    session = runner.session
    monkeypatch.setattr(backend, "RUN_S", 0.5)
    monkeypatch.setattr(backend, "RUN_PER_PROCESS_STEP_S", 0.0)
    monkeypatch.setattr(backend, "RUN_PER_WEIGHT_STEP_S", 0.0)
    seen: list[Any] = []

    def look() -> bool:
        seen.extend(group.blocks(session.prefix))
        return True

    monkeypatch.setattr(session, "_worker_lives", look)
    with pytest.raises(BackendError, match=r"network 'contained': Lava did not finish 'run' within 0\.5 s") as caught:
        runner.run(few_events(), LONG)
    assert "patience" in str(caught.value)
    assert seen, "shared memory of this group was there during the run"
    assert_nothing_left(session.group, session.prefix)
    monkeypatch.undo()
    assert runner.run(few_events()).backend == "lava", "the runner starts a new worker"


def test_start_that_takes_too_long_is_ended(lava_runner: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []
    popen = subprocess.Popen

    def start_and_stop(*args: Any, **options: Any) -> subprocess.Popen[bytes]:
        process = popen(*args, **options)
        os.kill(process.pid, signal.SIGSTOP)  # it cannot report, however fast the machine
        started.append(process.pid)
        return process

    monkeypatch.setattr(subprocess, "Popen", start_and_stop)
    runner = lava_runner(NETWORK, patience=0.01)
    with pytest.raises(BackendError, match=r"network 'contained': Lava did not finish 'start' within 0\.6 s"):
        runner.run(few_events())
    assert len(started) == 1
    with pytest.raises(ProcessLookupError):
        os.killpg(started[0], 0)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ({"groups": [{"name": "out", "n": 3}]}, "failed in 'build'"),
        ({"n_samples": 3}, "IndexError"),
        ({"kind": "hardware"}, "lava-loihi is not installed beside Lava"),
    ],
)
def test_nothing_is_left_after_an_error_in_lava(
    lava_runner: Callable[..., Any], damage: dict[str, Any], words: str
) -> None:
    """A damaged request makes the build fail, or a Lava process run past the end of its events."""
    from neurosim_lava import translate

    runner = lava_runner(NETWORK)
    runner.run(few_events())
    session = runner.session
    header, arrays = translate.request(NETWORK, few_events(), 6)
    with pytest.raises(BackendError, match=f"(?s)network 'contained'.*{words}"):
        session.request(header | damage, arrays, {"build": 20.0, "run": 20.0, "read": 20.0})
    assert_nothing_left(session.group, session.prefix)


def test_nothing_is_left_when_a_lava_process_is_killed(lava_runner: Callable[..., Any]) -> None:
    from neurosim_lava import group

    runner = lava_runner(NETWORK)
    runner.run(few_events())
    session = runner.session

    def kill_one() -> None:
        wait_until_lava_runs(session.group)
        os.kill(group.members(session.group)[-1], signal.SIGKILL)  # the last to start: Lava's runtime service

    killer = threading.Thread(target=kill_one)
    killer.start()
    with pytest.raises(BackendError, match="exit code -9"):
        runner.run(few_events(), LONG)
    killer.join()
    assert_nothing_left(session.group, session.prefix)


def test_nothing_is_left_when_the_worker_dies(lava_runner: Callable[..., Any]) -> None:
    runner = lava_runner(NETWORK)
    runner.run(few_events())
    session = runner.session
    os.kill(session.group, signal.SIGKILL)
    with pytest.raises(BackendError, match="the process that runs Lava died"):
        runner.run(few_events())
    assert_nothing_left(session.group, session.prefix)


@pytest.mark.usefixtures("lava")
def test_nothing_is_left_after_interpreter_exit_without_close() -> None:
    process, number, prefix = spawn("sys.exit(0)")
    assert process.communicate(timeout=60)[1] == ""
    assert process.returncode == 0
    assert_nothing_left(number, prefix)


@pytest.mark.usefixtures("lava")
def test_nothing_is_left_after_the_caller_was_killed_in_a_run() -> None:
    process, number, prefix = spawn("runner.run(few_events(), LONG)")
    wait_until_lava_runs(number)
    process.kill()
    process.communicate(timeout=60)
    assert_nothing_left(number, prefix)


@pytest.mark.usefixtures("lava")
def test_nothing_is_left_after_ctrl_c_in_a_run() -> None:
    process, number, prefix = spawn("runner.run(few_events(), LONG)")
    wait_until_lava_runs(number)
    process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in process.communicate(timeout=60)[1]
    assert_nothing_left(number, prefix)


def test_a_forked_copy_of_the_caller_does_not_end_its_lava(lava_runner: Callable[..., Any]) -> None:
    runner = lava_runner(NETWORK)
    runner.run(few_events())
    copy = fork_that_closes(runner)
    assert os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1]) == 0
    assert runner.run(few_events()).backend == "lava"


def fork_that_closes(runner: Any) -> int:
    """Fork; the copy closes the runner and ends without Python's exit handlers."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking beside threads, which is the point here
        pid = os.fork()
    if pid == 0:
        runner.close()
        os._exit(0)
    return pid


def test_closed_runner_says_so(lava_runner: Callable[..., Any]) -> None:
    runner = lava_runner(NETWORK)
    runner.close()
    with pytest.raises(BackendError, match="runner is closed"):
        runner.run(few_events())
