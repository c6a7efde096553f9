"""What an exported script says and refuses; nothing here needs Lava."""

import ast
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurosim.chip import load_chip
from neurosim.errors import ConfigError, DataError, FeatureError, RunFolderError
from neurosim.events import Events, events_from_dense
from neurosim.modelfile import Model
from neurosim.network import LIF, Connection, Conv, Dense, Input, Network, OneToOne, Sparse
from neurosim.neurons import (
    ATRLIF,
    RF,
    Delta,
    GradedVec,
    LIFRefractory,
    LIFReset,
    MultiSpikeLIF,
    ProdNeuron,
    RFIzhikevich,
    Sigma,
    SigmaDelta,
    TernaryLIF,
    rotation,
)

emit = pytest.importorskip("neurosim_lava.emit", reason="the package neurosim_lava is not on the path")
from neurosim_lava import emit_links  # noqa: E402
from neurosim_lava.export import export, write_script  # noqa: E402


def model(*groups: Any, connections: Any = (), **metadata: Any) -> Model:
    return Model(Network(groups, connections, name="small"), load_chip("loihi1"), metadata=metadata)


def small() -> Model:
    return model(
        Input("in", 3), LIF("a", 2, 1000, 100, vth=60, bias_mant=[1, 2]), LIF("input", 2),
        connections=[
            Dense("in", "a", [[9, -2, 3], [1, 8, -6]]), Sparse("a", "input", (2, 2), [1], [0], [4], weight_exp=-3),
        ],
    )  # fmt: skip


EVENTS = events_from_dense(np.ones((2, 5, 3), np.int8))


def script_of(of: Model, events: Events = EVENTS, n_steps: int = 5) -> str:
    return write_script(of, events, n_steps, "small.npz")[0]


def test_script_is_python_without_neurosim_or_parts_that_need_it() -> None:
    tree = ast.parse(script_of(small()))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in imported} == {"sys", "dataclasses", "pathlib", "numpy", "scipy", "lava"}


def test_numbers_stand_in_the_script_and_arrays_beside_it() -> None:
    text, data = write_script(small(), EVENTS, 5, "small.npz")
    assert 'a = LIF(shape=(2,), du=1000, dv=100, vth=60, bias_mant=ARRAYS["a_bias_mant"], bias_exp=0)' in text
    assert "sign_mode=SignMode.MIXED" in text
    assert "weight_exp=-3" in text
    path = Path("small.npz")
    path.write_bytes(data)
    with np.load(path) as arrays:
        assert arrays["a_bias_mant"].tolist() == [1, 2]
        np.testing.assert_array_equal(arrays["in_to_a_weights"], [[9, -2, 3], [1, 8, -6]])
        assert arrays["group_in_spikes"].shape == (2, 3, 5)
        assert arrays["in_to_a_weights"].dtype == np.int32


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_names_that_python_or_the_script_uses_are_lengthened() -> None:
    text = script_of(small())
    for line in ("group_in = Source(", "group_input = LIF(", 'group_in.s_out.connect(in_to_a.s_in)', '"input": group_input,'):  # fmt: skip
        assert line in text, line


def test_names_that_collide_stay_apart() -> None:
    text = script_of(model(LIF("a b", 1), LIF("a_b", 1), LIF("1", 1), LIF("run", 1)), events_from_dense([[[]]]), 3)
    for line in ("a_b = LIF(", "a_b_2 = LIF(", "group_1 = LIF(", "group_run = LIF("):
        assert line in text, line


def test_unconnected_parts_are_run_one_after_the_other() -> None:
    groups = [LIF(name, 1) for name in "abcd"]
    text = script_of(
        model(*groups, connections=[Dense("d", "a", [[1]]), Dense("b", "b", [[1]])]), events_from_dense([[[]]]), 3
    )
    assert '    "a": ["a", "d"],\n    "b": ["b"],\n    "c": ["c"],\n' in text


def test_input_that_two_parts_share_joins_them() -> None:
    groups = [Input("x", 1), LIF("a", 1), LIF("b", 1)]
    both = [Dense("x", "a", [[1]]), Dense("x", "b", [[1]])]
    assert '"a": ["a", "b"],' in script_of(model(*groups, connections=both), events_from_dense([[[1]]]), 3)


def test_what_adds_nothing_is_left_out() -> None:
    """Lava refuses matrices without entries; an input that leads nowhere has nobody to play for."""
    empty = Sparse("in", "a", (1, 3), np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64))
    text = script_of(model(Input("in", 3), LIF("a", 1), connections=[empty]))
    assert "Sparse(" not in text
    assert "Source" not in text


def test_events_are_cut_or_filled_to_the_steps_of_the_run() -> None:
    events = events_from_dense(np.ones((1, 4, 3), np.int8))
    for n_steps, expected in ((2, [1, 1]), (6, [1, 1, 1, 1, 0, 0])):
        Path("x.npz").write_bytes(write_script(small(), events, n_steps, "x.npz")[1])
        with np.load("x.npz") as arrays:
            assert arrays["group_in_spikes"][0, 0].tolist() == expected


def test_readout_is_told_where_the_model_names_one() -> None:
    named = model(LIF("a", 1), readout="a")
    assert 'READOUT = "a"' in script_of(named, events_from_dense([[[]]]), 3)
    assert "READOUT = None" in script_of(model(LIF("a", 1), readout="b"), events_from_dense([[[]]]), 3)


def test_same_model_gives_the_same_bytes() -> None:
    for name in ("first", "second"):
        Path(name).mkdir()
        assert export(small(), EVENTS, 5, Path(name, "x.py")) == [Path(name, "x.py"), Path(name, "x.npz")]
    for name in ("x.py", "x.npz"):
        assert Path("first", name).read_bytes() == Path("second", name).read_bytes()


def test_names_in_texts_cannot_break_out_of_them() -> None:
    network = Network([LIF("a", 1)], name='x"""\nimport os #\\')
    tree = ast.parse(script_of(Model(network, load_chip("loihi1")), events_from_dense([[[]]]), 3))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert "numpy" in imported and "os" not in imported


LIF_PART = "du=0, dv=0, vth=10, {}bias_mant=0, bias_exp=0)"
BIAS = "bias_mant=0, bias_exp=0)"
EMITTED: list[tuple[Any, str]] = [
    (LIFReset("g", 2, reset_interval=5, reset_offset=3),
     f"LIFReset(shape=(2,), {LIF_PART.format('reset_interval=5, reset_offset=3, ')}"),
    (TernaryLIF("g", 2, vth_hi=7, vth_lo=-9), f"TernaryLIF(shape=(2,), du=0, dv=0, vth_hi=7, vth_lo=-9, {BIAS}"),
    (TernaryLIF("g", 2, vth_hi=1, vth_lo=2), "vth_hi=np.array([1])"),
    (Sigma("g", 2), "Sigma(shape=(2,))"),
    (Delta("g", 2, vth=3, cum_error=True, spike_exp=1, state_exp=2),
     "Delta(shape=(2,), vth=3, cum_error=True, spike_exp=1, state_exp=2)"),
    (SigmaDelta("g", 2, vth=3, bias=[4, 5], act_mode="unit"), "act_mode=ActivationMode.UNIT"),
    (SigmaDelta("g", 2, vth=3, bias=[4, 5]), 'bias=ARRAYS["g_bias"]'),
    (ProdNeuron("g", 2, vth=3, exp=6), "ProdNeuron(shape=(2,), vth=3, exp=6)"),
    (GradedVec("g", 2, vth=3), "GradedVec(shape=(2,), vth=3)"),
    (GradedVec("g", 2, vth=3, relu=True), "GradedReluVec(shape=(2,), vth=3)"),
    (RF("g", 2, *rotation(10, 0.07), vth=3, state_exp=4), "RF(shape=(2,), period=9.99"),
    (RFIzhikevich("g", 2, *rotation(10, 0.07), vth=3), "RF_IZ(shape=(2,), period=9.99"),
    (ATRLIF("g", 2, delta_i=5, theta_0=7), "delta_i=5 / 4096,"),
    (ATRLIF("g", 2, delta_i=5, theta_0=7), "theta=7,"),
]  # fmt: skip


@pytest.mark.parametrize(("group", "words"), EMITTED, ids=lambda x: x if isinstance(x, str) else type(x).__name__)
def test_every_model_becomes_its_process(group: Any, words: str) -> None:
    text = script_of(model(group), events_from_dense([[[]]]), 3)
    assert words in text
    ast.parse(text)


def test_every_model_of_the_table_is_tested_here() -> None:
    assert {type(group) for group, _ in EMITTED} | {LIF} == set(emit.NEURONS)


def test_rotation_is_set_to_the_integers_of_the_network() -> None:
    text = script_of(model(RF("g", 2, 2239, 3081)), events_from_dense([[[]]]), 3)
    assert "    g.sin_decay.init, g.cos_decay.init = 2239, 3081  # in 1/4096\n" in text


@pytest.mark.parametrize("turn", [(0, 0), (0, 4096), (-4096, 0), (4096, 0), (0, -4096)])
def test_every_rotation_is_written_as_numbers_that_lava_can_use(turn: tuple[int, int]) -> None:
    code = emit.emit_neurons(RF("g", 2, *turn), "g", emit.Store())
    arguments = {key.arg: ast.literal_eval(key.value) for key in ast.parse(code.call).body[0].value.keywords}  # type: ignore[attr-defined]
    assert arguments["period"] != 0
    assert -1 <= arguments["alpha"] <= 1


@pytest.mark.parametrize(
    ("link", "words"),
    [
        (Dense("in", "g", np.eye(4, dtype=int), delays=np.eye(4, dtype=int) * 3), 'DelayDense('),
        (Dense("in", "g", np.eye(4, dtype=int), delays=2), 'delays=ARRAYS["in_to_g_delays"]'),
        (Dense("in", "g", np.eye(4, dtype=int), num_message_bits=8), "num_message_bits=8"),
        (Sparse("in", "g", (4, 4), [0], [1], [5], delays=[7]),
         'delays=csr_matrix((ARRAYS["in_to_g_delays"], (ARRAYS["in_to_g_row"], ARRAYS["in_to_g_col"])), shape=(4, 4))'),
        (OneToOne("in", "g", 4, [1, 2, 3, 4]), 'Sparse('),
        (Dense("in", "g", np.eye(4, dtype=int), sign_mode="null"), "sign_mode=SignMode.EXCITATORY"),
        (Conv("in", "g", np.ones((1, 1, 1, 1), int), (2, 2, 1)), "group_in.s_out.reshape(in_to_g.s_in.shape).connect("),
        (Conv("in", "g", np.ones((1, 1, 1, 1), int), (2, 2, 1)), "in_to_g.a_out.reshape(g.a_in.shape).connect(g.a_in)"),
        (Conv("in", "g", np.ones((1, 1, 1, 1), int), (2, 2, 1), padding=(0, 0)), "padding=(0, 0)"),
    ],
)  # fmt: skip
def test_every_connection_becomes_its_process(link: Any, words: str) -> None:
    text = script_of(model(Input("in", 4), LIF("g", 4), connections=[link]), events_from_dense([[[1, 0, 1, 0]]]), 3)
    assert words in text
    ast.parse(text)


def test_types_of_delays_are_those_that_lava_asks_for() -> None:
    store = emit.Store()
    emit_links.emit_link(Dense("a", "b", [[1, 2]], delays=[[0, 3]]), "a_to_b", store)
    assert store.arrays["a_to_b_delays"].dtype == np.int64


def test_ports_are_named() -> None:
    links = [Dense("in", "g", [[1]], port="a_in2"), Dense("in", "g", [[1]])]
    text = script_of(model(Input("in", 1), ProdNeuron("g", 1), connections=links), events_from_dense([[[1]]]), 3)
    assert ".a_out.connect(g.a_in2)" in text
    assert ".a_out.connect(g.a_in1)" in text


def test_values_of_messages_are_kept() -> None:
    events = events_from_dense([[[5, 0, -7]]], graded=True)
    Path("x.npz").write_bytes(write_script(small(), events, 1, "x.npz")[1])
    with np.load("x.npz") as arrays:
        assert arrays["group_in_spikes"].tolist() == [[[5], [0], [-7]]]


@pytest.mark.parametrize(
    ("group", "words"),
    [
        (LIFRefractory("strange", 2), "group 'strange': Lava has no fixed-point LIFRefractory; .* LIF, LIFReset"),
        (MultiSpikeLIF("strange", 2), "group 'strange': Lava has no fixed-point MultiSpikeLIF"),
        (LIF("strange", 2, du=[1, 2]), "group 'strange': du is given for each neuron, Lava's models take one"),
        (TernaryLIF("strange", 2, vth_lo=[-1, -2]), "vth_lo is given for each neuron"),
    ],
)
def test_what_lava_does_not_have_is_refused_by_name_before_a_file_is_written(group: Any, words: str) -> None:
    with pytest.raises(FeatureError, match=words):
        export(model(group), events_from_dense([[[]]]), 3, Path("x.py"))
    assert not list(Path().iterdir())


def test_unknown_connections_are_refused_by_name() -> None:
    with pytest.raises(FeatureError, match="connection 'a->b': Lava has no fixed-point Connection; .* Conv"):
        emit_links.emit_link(Connection("a", "b", [[0.5]]), "a_to_b", emit.Store())


@pytest.mark.parametrize(
    ("path", "words"), [("x.txt", "does not end with .py"), ("missing/x.py", "make the folder first")]
)
def test_wrong_paths_are_refused(path: str, words: str) -> None:
    with pytest.raises((ConfigError, RunFolderError), match=words):
        export(small(), EVENTS, 5, Path(path))


def test_events_of_another_network_are_refused() -> None:
    with pytest.raises(DataError, match="made for 1 input lines"):
        script_of(small(), events_from_dense([[[1]]]))


def test_network_without_neurons_is_refused() -> None:
    with pytest.raises(ConfigError, match="no neurons"):
        script_of(model(Input("in", 3)))
