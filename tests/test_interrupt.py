"""Interrupted and killed training runs, continued, end in the same bytes as one that was left alone."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import neurosim
from neurosim import experiment
from neurosim.arrayfile import unpack_arrays
from neurosim.config import TrainConfig, override
from neurosim.experiment import Progress, checkpoint_config, train_model
from neurosim.runfolder import RunFolder

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no POSIX signals between processes")
CONFIG = override(
    TrainConfig(),
    ["epochs=1", "batch=64", "augment=false", "network.hidden=[16]", "network.n_steps=4", "rule.warmup=3",
     "evaluate_every=7", "checkpoint_every=5"],
)  # fmt: skip
N_GENERATIONS = 1437 // 64
STOP = 13  # not a generation with a checkpoint

# Trains, says "ready" after generation STOP, and goes on when it is written to.
CHILD = f"""
import sys
from neurosim.config import TrainConfig
from neurosim.experiment import checkpoint_config, train_model
from neurosim.runfolder import RunFolder

def pause(shown):
    if shown.generation == {STOP}:
        print("ready", flush=True)
        sys.stdin.readline()

folder = RunFolder.open(sys.argv[1])
config = TrainConfig.from_dict({CONFIG.to_dict()!r})
try:
    train_model(config, folder, threads=2, on_progress=pause)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    raise
"""


class Stop(Exception):
    """Raised by a test to end a run."""


def digest(folder: RunFolder) -> str:
    return hashlib.sha256(folder.model_path.read_bytes()).hexdigest()


@pytest.fixture(scope="module", autouse=True)
def no_pictures() -> Iterator[None]:
    """Plots and report take seconds to draw and come after the model, which is what these tests compare."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment, "save_plots", lambda metrics, folder: None)
        patch.setattr(experiment, "write_report", lambda metrics, path: None)
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The model of a run that was left alone."""
    folder = RunFolder.create(tmp_path_factory.mktemp("interrupt") / "whole")
    train_model(CONFIG, folder, threads=1)
    return digest(folder)


@contextmanager
def paused_child(folder: RunFolder) -> Iterator[subprocess.Popen[str]]:
    """A process that has trained STOP generations and waits."""
    root = str(Path(neurosim.__file__).parents[1])
    paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CHILD), str(folder.path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": paths},
    )  # fmt: skip
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n", child.communicate()[1]
        yield child
    finally:
        child.kill()
        child.communicate()


def checkpoints(folder: RunFolder) -> list[str]:
    return sorted(path.name for path in folder.checkpoints.iterdir())


@posix_only
def test_control_c_writes_a_checkpoint_and_the_resumed_run_gives_the_same_model(whole: str, tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    with paused_child(folder) as child:
        child.send_signal(signal.SIGINT)
        out, error = child.communicate("go on\n", timeout=60)
        assert out == "interrupted\n"
        assert error.rstrip().endswith("KeyboardInterrupt")
        assert child.returncode == -signal.SIGINT
    assert checkpoints(folder) == ["gen-000005.npz", "gen-000010.npz", f"gen-{STOP:06d}.npz"]
    assert not folder.model_path.exists() and not folder.metrics_path.exists()
    seen: list[int] = []
    metrics = train_model(
        checkpoint_config(folder), folder, resume=True, on_progress=lambda shown: seen.append(shown.generation)
    )
    assert seen == list(range(STOP + 1, N_GENERATIONS + 1))
    assert [point["generation"] for point in metrics["training"]["history"]] == list(range(1, N_GENERATIONS + 1))
    assert digest(folder) == whole


@posix_only
def test_a_killed_run_resumes_from_its_last_checkpoint_to_the_same_model(whole: str, tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    with paused_child(folder) as child:
        child.send_signal(signal.SIGKILL)
        assert child.wait(timeout=60) == -signal.SIGKILL
    assert checkpoints(folder) == ["gen-000005.npz", "gen-000010.npz"]
    left = folder.checkpoints / ".gen-000015.npz.0123456789ab.tmp"  # as of a process killed while it wrote
    left.write_bytes(folder.checkpoint_path(10).read_bytes()[:1000])
    seen: list[int] = []
    train_model(checkpoint_config(folder), folder, threads=1, resume=True,
                on_progress=lambda shown: seen.append(shown.generation))  # fmt: skip
    assert seen == list(range(11, N_GENERATIONS + 1))
    assert digest(folder) == whole
    assert not left.exists()


def test_the_generation_of_an_interrupt_is_finished_and_kept(tmp_path: Path) -> None:
    folder, seen, before = RunFolder.create(tmp_path / "run"), [], signal.getsignal(signal.SIGINT)

    def interrupt(shown: Progress) -> None:
        seen.append(shown.generation)
        if shown.generation == 3:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train_model(CONFIG, folder, on_progress=interrupt)
    assert seen == [1, 2, 3]
    assert checkpoints(folder) == ["gen-000003.npz"]
    header, _ = unpack_arrays(folder.checkpoint_path(3).read_bytes())
    assert header["generation"] == 3 and len(header["history"]) == 3
    assert signal.getsignal(signal.SIGINT) is before


def test_a_run_interrupted_in_every_generation_has_the_same_checkpoints(tmp_path: Path) -> None:
    alone, torn = RunFolder.create(tmp_path / "alone"), RunFolder.create(tmp_path / "torn")

    def interrupt(shown: Progress) -> None:
        signal.raise_signal(signal.SIGINT)

    for _ in range(6):
        with pytest.raises(KeyboardInterrupt):
            train_model(CONFIG, torn, resume=True, on_progress=interrupt)

    def stop(shown: Progress) -> None:
        if shown.generation == 6:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train_model(CONFIG, alone, on_progress=stop)
    assert checkpoints(alone) == ["gen-000005.npz", "gen-000006.npz"]
    for generation in (5, 6):
        ours, theirs = (unpack_arrays(f.checkpoint_path(generation).read_bytes()) for f in (torn, alone))
        assert ours[0] | {"seconds": 0} == theirs[0] | {"seconds": 0}
        assert {k: v.tolist() for k, v in ours[1].items()} == {k: v.tolist() for k, v in theirs[1].items()}


def test_a_second_interrupt_stops_at_once(tmp_path: Path) -> None:
    folder, before = RunFolder.create(tmp_path / "run"), signal.getsignal(signal.SIGINT)
    reached: list[str] = []

    def interrupt(shown: Progress) -> None:
        signal.raise_signal(signal.SIGINT)
        reached.append("after the first")
        signal.raise_signal(signal.SIGINT)
        reached.append("after the second")

    with pytest.raises(KeyboardInterrupt):
        train_model(CONFIG, folder, on_progress=interrupt)
    assert reached == ["after the first"]
    assert checkpoints(folder) == []
    assert signal.getsignal(signal.SIGINT) is before


def test_an_error_during_training_gives_the_interrupt_handler_back(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)

    def fail(shown: Progress) -> None:
        assert signal.getsignal(signal.SIGINT) is not before
        raise Stop

    with pytest.raises(Stop):
        train_model(CONFIG, RunFolder.create(tmp_path / "run"), on_progress=fail)
    assert signal.getsignal(signal.SIGINT) is before


def test_training_works_outside_the_main_thread(tmp_path: Path) -> None:
    seen: list[int] = []
    errors: list[BaseException] = []

    def watch(shown: Progress) -> None:
        seen.append(shown.generation)
        if shown.generation == 6:
            raise Stop

    def work() -> None:
        try:
            train_model(CONFIG, RunFolder.create(tmp_path / "run"), on_progress=watch)
        except Stop as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(timeout=60)
    assert seen == [1, 2, 3, 4, 5, 6] and len(errors) == 1
    assert checkpoints(RunFolder.open(tmp_path / "run")) == ["gen-000005.npz"]
