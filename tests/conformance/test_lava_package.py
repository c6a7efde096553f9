"""The parts of the Lava backend that need no Lava: messages, where Lava is found, process groups."""

import contextlib
import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from neurosim.backend import Status
from neurosim.compile_network import compile
from neurosim.errors import BackendError, FeatureError
from neurosim.events import events_from_dense
from neurosim.network import LIF, Dense, Input, Network, Probe, Sparse
from neurosim.neurons import ATRLIF, LIFRefractory, LIFReset, Sigma, TernaryLIF

neurosim_lava = pytest.importorskip("neurosim_lava", reason="the package neurosim_lava is not on the path")
from neurosim_lava import LavaBackend, LavaLoihiBackend, group, install, place, schedule, shim, translate, wire  # noqa: E402
from neurosim_lava.backend import LavaRunner  # noqa: E402

NETWORK = Network(
    (Input("a", 2), LIF("out", 9), Input("b", 1)),
    (Dense("a", "out", np.ones((9, 2), np.int64)), Sparse("b", "out", (9, 1), [], [], [])),
    (Probe("out"), Probe("b")),
)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    for end in (read, write):
        os.set_blocking(end, False)
    yield read, write
    for end in (read, write):
        try:
            os.close(end)
        except OSError:
            continue  # the test closed it


@pytest.fixture
def empty_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No Lava anywhere."""
    monkeypatch.setenv(place.HOME_VARIABLE, str(tmp_path))
    monkeypatch.setattr(place, "LAVA_VERSION", "0.0.0")
    return tmp_path


def alive() -> bool:
    return True


def test_message_survives_the_pipe(pipe: tuple[int, int]) -> None:
    arrays: wire.Arrays = {"a_0": np.arange(6, dtype=np.int16).reshape(2, 3), "b": np.zeros((0, 4), np.uint8)}
    wire.send(pipe[1], wire.encode({"n": 3, "text": "é"}, arrays), alive)
    header, found = wire.receive(pipe[0], alive)
    assert header == {"n": 3, "text": "é"}
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array, strict=True)


def test_only_integers_cross_the_pipe() -> None:
    with pytest.raises(TypeError, match="only integers cross the pipe"):
        wire.encode({}, {"w": np.zeros(3)})


def test_closed_pipe_is_noticed(pipe: tuple[int, int]) -> None:
    os.close(pipe[1])
    with pytest.raises(wire.PeerGone):
        wire.receive(pipe[0], alive)


def test_dead_peer_is_noticed_though_the_pipe_is_open(pipe: tuple[int, int]) -> None:
    with pytest.raises(wire.PeerGone):
        wire.receive(pipe[0], alive=lambda: False)


def test_message_written_before_death_is_still_read(pipe: tuple[int, int]) -> None:
    wire.send(pipe[1], wire.encode({"n": 1}, {}), alive)
    assert wire.receive(pipe[0], alive=lambda: False)[0] == {"n": 1}


def test_deadline_of_a_full_or_empty_pipe_expires(pipe: tuple[int, int]) -> None:
    with pytest.raises(wire.Expired):
        wire.receive(pipe[0], alive, time.monotonic() + 0.1)
    with pytest.raises(wire.Expired):
        wire.send(pipe[1], bytes(10_000_000), alive, time.monotonic() + 0.1)


def test_members_of_a_group_are_listed_without_zombies() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)
    assert group.members(child.pid) == [child.pid]
    assert child.stdin is not None
    child.stdin.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert group.members(child.pid) == [], "it ended, though nobody has collected it"
    child.wait()


def test_only_blocks_with_the_prefix_are_removed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(group, "SHARED_MEMORY", tmp_path)
    for name in ("mine_1", "mine_2", "psm_other"):
        (tmp_path / name).touch()
    group.remove_blocks("mine_")
    assert [path.name for path in tmp_path.iterdir()] == ["psm_other"]


def test_shared_memory_takes_the_prefix_where_it_was_set() -> None:
    """In a process of its own, for the setting stays."""
    code = (
        "from neurosim_lava.shim import name_shared_memory\n"
        "from multiprocessing.shared_memory import SharedMemory\n"
        "name_shared_memory('neurosim_lava_test_')\n"
        "blocks = [SharedMemory(create=True, size=8) for _ in range(3)]\n"
        "print(all(b.name.startswith('neurosim_lava_test_') for b in blocks), len({b.name for b in blocks}))\n"
        "for b in blocks: b.close(); b.unlink()\n"
    )
    path = os.pathsep.join(p for p in sys.path if p)
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.stdout.split() == ["True", "3"], done.stderr


def test_shim_restores_dataclass_whether_lava_is_there_or_not() -> None:
    original = dataclasses.dataclass
    with contextlib.suppress(ModuleNotFoundError):
        shim.import_var_model()
    assert dataclasses.dataclass is original


def test_private_folder_follows_the_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tag = f"lava-0.10.0-cp3{sys.version_info[1]}"
    monkeypatch.delenv(place.HOME_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert place.private_folder() == tmp_path / "data" / "neurosim" / tag
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert place.private_folder() == tmp_path / ".local" / "share" / "neurosim" / tag
    monkeypatch.setenv(place.HOME_VARIABLE, str(tmp_path / "mine"))
    assert place.private_folder() == tmp_path / "mine" / tag


def test_status_without_lava_has_the_remedy(empty_home: Path) -> None:
    status = LavaBackend.status()
    assert not status.available
    assert str(empty_home) in status.detail
    assert status.remedy == "neurosim backends install lava"


def test_half_installed_folder_does_not_count(empty_home: Path) -> None:
    place.private_folder().mkdir(parents=True)
    assert place.find() is None
    (place.private_folder() / place.CHECKED).write_text("{}")
    assert place.find() == place.Place(place.private_folder())


def test_open_without_lava_has_the_remedy(empty_home: Path) -> None:
    with pytest.raises(BackendError, match="run: neurosim backends install lava"):
        LavaBackend().open(compile(NETWORK))


def test_other_systems_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert place.status() == Status(False, "it runs on Linux only, this is 'win32'")
    with pytest.raises(BackendError, match="Linux only"):
        install()


def test_other_python_versions_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 14, 0))
    assert "this is 3.14" in place.status().detail


def test_failed_installation_leaves_no_folder(empty_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # pip then finds nothing
    with pytest.raises(BackendError, match="pip could not install"):
        install()
    assert list(empty_home.iterdir()) == []


def test_environment_without_pip_is_refused(empty_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "find_spec", lambda name: None if name == "pip" else find_spec(name))
    with pytest.raises(BackendError, match="ensurepip"):
        install()


def test_worker_sees_private_folder_first(tmp_path: Path) -> None:
    path = place.worker_environment(place.Place(tmp_path))["PYTHONPATH"].split(os.pathsep)
    assert path[0] == str(tmp_path)
    assert "" not in path


def test_strict_is_refused_before_lava_is_looked_for(empty_home: Path) -> None:
    with pytest.raises(FeatureError, match="counts"):
        LavaBackend().open(compile(NETWORK), strict=True)


def test_network_that_is_not_quantised_is_refused() -> None:
    from neurosim.network import CubaLIF

    program = SimpleNamespace(network=Network((CubaLIF("x", 1, tau_mem=0.01),), name="floats"))
    with pytest.raises(BackendError, match="network 'floats': it is not quantised"):
        LavaBackend().open(program)  # type: ignore[arg-type]


def test_events_are_split_by_input_and_padded() -> None:
    spikes = np.zeros((2, 3, 3), np.int8)
    spikes[0, 0] = [1, 0, 1]
    spikes[0, 2] = [1, 1, 1]
    spikes[1, 1] = [0, 1, 0]
    header, arrays = translate.request(NETWORK, events_from_dense(spikes), 4)
    assert [part["name"] for part in header["inputs"]] == ["a", "b"]
    assert arrays["start_0"].tolist() == [0, 1, 1, 3, 3, 3, 4, 4, 4]
    assert arrays["neuron_0"].tolist() == [0, 0, 1, 1]
    assert arrays["neuron_1"].tolist() == [0, 0]


def test_events_beyond_the_run_are_dropped() -> None:
    _, arrays = translate.request(NETWORK, events_from_dense(np.ones((2, 3, 3), np.int8)), 1)
    assert arrays["start_1"].tolist() == [0, 1, 2]


def test_connections_without_synapses_are_left_out() -> None:
    header, _ = translate.request(NETWORK, events_from_dense(np.zeros((1, 1, 3), np.int8)), 1)
    assert [part["source"] for part in header["connections"]] == ["a"]


def test_packed_spikes_come_back_in_order() -> None:
    events = events_from_dense(np.zeros((2, 2, 3), np.int8))
    fired = np.zeros((4, 9), np.uint8)
    fired[1, 8] = fired[2, 0] = fired[2, 5] = 1
    result = translate.result(NETWORK, events, 2, {"spikes_0": np.packbits(fired, axis=1)}, "lava", "0.10.0")
    train = result.spikes["out"]
    assert np.stack([train.sample, train.step, train.neuron], axis=1).tolist() == [[0, 1, 8], [1, 0, 0], [1, 0, 5]]
    assert train.value is None


def test_messages_come_back_with_their_values() -> None:
    network = Network((Input("in", 2), Sigma("sums", 3), LIF("out", 1)), (), (Probe("sums"), Probe("in"), Probe("out")))
    events = events_from_dense(np.array([[[0, -7], [3, 0]]]), graded=True)
    messages = np.array([[0, -5, 0], [1 << 30, 0, 2]], np.int32)
    found = {"values_0": messages, "spikes_1": np.packbits(np.array([[0], [1]], np.uint8), axis=1)}
    result = translate.result(network, events, 2, found, "lava", "0.10.0", graded=True)
    trains = {
        name: [None if part is None else part.tolist() for part in train] for name, train in result.spikes.items()
    }
    assert trains["sums"] == [[0, 0, 0], [0, 1, 1], [1, 0, 2], [-5, 1 << 30, 2]]
    assert trains["in"] == [[0, 0], [0, 1], [1, 0], [-7, 3]]
    assert trains["out"] == [[0], [1], [0], None]


def test_answers_of_several_starts_are_joined_in_order() -> None:
    parts = [{"v_0": np.full((2, 3), k, np.int32)} for k in range(3)]
    assert translate.joined(parts)["v_0"][:, 0].tolist() == [0, 0, 1, 1, 2, 2]


def test_request_holds_every_parameter_in_integers() -> None:
    adaptive = ATRLIF("a", 3, 1, 2, 3, 4, theta_0=9, theta_step=8, bias_mant=[1, 2, 3])
    ternary = TernaryLIF("t", 2, vth_hi=np.array([4, 5]), vth_lo=-6)
    header, arrays = translate.request(Network((adaptive, ternary)), events_from_dense(np.zeros((1, 1, 0))), 1)
    first, second = header["groups"]
    assert (first["model"], first["delta_r"], first["states"], first["rest"]) == (
        "ATRLIF", 4, ["i", "v", "theta", "r"], [0, 0, 9 << 6, 0]
    )  # fmt: skip
    assert (second["model"], second["graded"], second["rest"]) == ("TernaryLIF", True, [0, 0])
    assert {name: array.tolist() for name, array in arrays.items()} == {
        "bias_mant_0": [1, 2, 3], "bias_exp_0": [0, 0, 0],
        "bias_mant_1": [0, 0], "bias_exp_1": [0, 0], "vth_hi_1": [4, 5], "vth_lo_1": [-6, -6],
    }  # fmt: skip
    assert wire.decode(wire.encode(header, arrays)[wire.LENGTH_BYTES :])[0] == header


@pytest.mark.parametrize(
    ("longest", "intervals", "n_samples", "period"),
    [
        (0, (), 4, 20),  # without delays samples follow each other at once
        (7, (), 4, 27),  # silent steps until nothing is under way
        (0, (6, 4), 4, 24),  # LIFReset counts through: samples begin at a multiple of all intervals
        (7, (6, 4), 4, 36),
        (7, (1000,), 1, 20),  # nothing follows a single sample
        (0, (11, 13), 2, None),  # 143 steps for a sample of 20: a start of Lava for each is cheaper
    ],
)
def test_samples_follow_each_other_when_nothing_is_left_of_the_last(
    longest: int, intervals: tuple[int, ...], n_samples: int, period: int | None
) -> None:
    groups = [Input("in", 1), LIF("out", 1)] + [LIFReset(f"r{i}", 1, reset_interval=n) for i, n in enumerate(intervals)]
    network = Network(groups, (Dense("in", "out", [[1]], delays=[[longest]]),))
    assert schedule.plan(network, 20, n_samples) == period


@pytest.mark.parametrize(
    ("group", "feature"),
    [
        (LIFRefractory("x", 1), "lif_refractory"),
        (LIF("x", 2, du=np.array([1, 2])), "per_neuron"),
    ],
)
def test_what_lava_does_not_have_is_refused_by_name(group: LIF, feature: str) -> None:
    with pytest.raises(FeatureError, match=rf"backend 'lava' lacks: {feature} \("):
        LavaBackend().open(compile(Network((group,)), "unlimited"))


def test_chip_without_lava_loihi_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(place, "find", lambda: place.Place(tmp_path))
    program = compile(NETWORK)
    for backend in (LavaBackend(hardware=True), LavaLoihiBackend()):
        assert backend.name == "lava-loihi"
        with pytest.raises(BackendError, match="'lava-loihi' is not available: Intel's lava-loihi .*loihi2_profiler"):
            backend.open(program)
    assert not LavaLoihiBackend.status().available
    assert "research community" in LavaLoihiBackend.status().detail


def test_lava_loihi_is_seen_where_it_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "lava" / "utils").mkdir(parents=True)
    (tmp_path / "lava" / "utils" / "loihi2_profiler.py").touch()
    monkeypatch.setattr(place, "find", lambda: place.Place(tmp_path))
    assert place.missing_for_chip(place.Place(tmp_path)) is None
    assert isinstance(LavaBackend(hardware=True).open(compile(NETWORK)), LavaRunner)


def test_states_cannot_be_recorded_on_a_chip() -> None:
    network = NETWORK.with_probes((Probe("out", "v"),))
    with pytest.raises(FeatureError, match="backend 'lava-loihi' lacks: probe_state"):
        LavaLoihiBackend().open(compile(network))


def test_arithmetic_of_the_chip_is_refused_by_name() -> None:
    with pytest.raises(FeatureError, match="lacks: loihi1"):
        LavaBackend().open(compile(NETWORK, arithmetic="loihi1"))
