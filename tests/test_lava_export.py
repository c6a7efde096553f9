"""What an exported script says and refuses; nothing here needs Lava."""

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurosim.chip import load_chip
from neurosim.errors import ConfigError, DataError, FeatureError, RunFolderError
from neurosim.events import Events, events_from_dense
from neurosim.modelfile import Model
from neurosim.network import LIF, Dense, Input, Network, Sparse

emit = pytest.importorskip("neurosim_lava.emit", reason="the package neurosim_lava is not on the path")
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
        assert arrays["in_2_spikes"].shape == (2, 3, 5)
        assert arrays["in_to_a_weights"].dtype == np.int32


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_names_that_python_or_the_script_uses_get_a_number() -> None:
    text = script_of(small())
    for line in ("in_2 = Source(", "input_2 = LIF(", 'in_2.s_out.connect(in_to_a.s_in)', '"input": input_2,'):  # fmt: skip
        assert line in text, line


def test_names_that_collide_stay_apart() -> None:
    text = script_of(model(LIF("a b", 1), LIF("a_b", 1), LIF("1", 1), LIF("run", 1)), events_from_dense([[[]]]), 3)
    for line in ("a_b = LIF(", "a_b_2 = LIF(", "_1 = LIF(", "run_2 = LIF("):
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
            assert arrays["in_2_spikes"][0, 0].tolist() == expected


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
    ast.parse(script_of(Model(network, load_chip("loihi1")), events_from_dense([[[]]]), 3))


@dataclass(frozen=True)
class Unknown:
    """A neuron that no table holds."""

    name: str = "strange"


def test_what_lava_does_not_have_is_refused_by_name() -> None:
    with pytest.raises(FeatureError, match="group 'strange': Lava has no fixed-point Unknown; .* LIF"):
        emit.emit_neurons(Unknown(), "strange", emit.Store())


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
