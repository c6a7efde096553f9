import dataclasses
import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_networks import conv_network, model_network

from neurosim.arrayfile import pack_arrays, unpack_arrays
from neurosim.chip import load_chip
from neurosim.compile_network import compile
from neurosim.errors import ModelFileError, RunFolderError
from neurosim.modelfile import Model, load_model, pack_model, save_model, unpack_model
from neurosim.network import LIF, CubaLIF, Dense, Input, Network, Probe, Sparse
from neurosim.version import VERSION


@pytest.fixture(scope="module")
def model():
    rng = np.random.default_rng(5)
    network = Network(
        groups=[
            LIF("hidden", 4, du=4095, dv=128, vth=200, bias_mant=[-4096, 0, 1, 4095], bias_exp=7),
            Input("pixels", 3),
            LIF("größe", 2, vth=131071, bias_mant=-3, bias_exp=[0, 2]),
        ],
        connections=[
            Dense("pixels", "hidden", rng.integers(-128, 127, (4, 3)) * 2, weight_exp=-2, plastic=True),
            Dense("hidden", "größe", -rng.integers(0, 255, (2, 4)), num_weight_bits=4),
            Sparse("größe", "hidden", (4, 2), [3, 0], [0, 1], [255, 7], weight_exp=3),
            Sparse("hidden", "hidden", (4, 4), [], [], []),
        ],
        probes=[Probe("hidden"), Probe("größe", "v")],
        dt=5e-4,
        name="small",
    )
    return Model(
        network, load_chip("loihi1"), {"group/hidden": 63.5}, {"task": "digits", "seed": 1, "rule": {"rank": 1}}
    )


@pytest.fixture(scope="module")
def data(model):
    return pack_model(model)


def changed(data: bytes, edit) -> bytes:
    """Return a correctly signed file with an edited header or arrays."""
    header, arrays = unpack_arrays(data)
    edit(header, arrays)
    return pack_arrays(header, arrays)


def assert_same_part(found, expected):
    assert type(found) is type(expected)
    for field in dataclasses.fields(expected):
        np.testing.assert_array_equal(getattr(found, field.name), getattr(expected, field.name), err_msg=field.name)
        assert np.asarray(getattr(found, field.name)).dtype == np.asarray(getattr(expected, field.name)).dtype


def test_everything_comes_back_exactly(model, tmp_path):
    save_model(tmp_path / "model.npz", model)
    found = load_model(tmp_path / "model.npz")
    for name in ("groups", "connections", "probes"):
        for a, b in zip(getattr(found.network, name), getattr(model.network, name), strict=True):
            assert_same_part(a, b)
    assert (found.network.name, found.network.dt) == ("small", 5e-4)
    assert found.chip == model.chip
    assert (found.scales, found.metadata, found.version) == (model.scales, model.metadata, VERSION)


def test_saving_what_was_loaded_gives_the_same_bytes(data):
    assert pack_model(unpack_model(data)) == data


def test_numpy_load_reads_the_weights(model, tmp_path):
    save_model(tmp_path / "model.npz", model)
    with np.load(tmp_path / "model.npz", allow_pickle=False) as loaded:
        np.testing.assert_array_equal(loaded["connection0.weights"], model.network.connections[0].weights)
        assert json.loads(loaded["header"].tobytes())["content"]["neurosim"] == VERSION
        assert all(loaded[name].dtype.kind == "i" for name in loaded.files if name != "header")


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_any_flipped_byte_is_detected(data, draw):
    i = draw.draw(st.integers(0, len(data) - 1))
    altered = bytearray(data)
    altered[i] ^= draw.draw(st.integers(1, 255))
    with pytest.raises(ModelFileError, match="'m.npz'"):
        unpack_model(bytes(altered), "m.npz")


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_truncation_at_any_length_is_refused(data, draw):
    n = draw.draw(st.integers(0, len(data) - 1))
    with pytest.raises(ModelFileError, match="'m.npz'"):
        unpack_model(data[:n], "m.npz")


def test_missing_files_and_folders_are_named_with_the_remedy(tmp_path):
    with pytest.raises(ModelFileError, match="none.npz': does not exist; check the path, or train"):
        load_model(tmp_path / "none.npz")
    with pytest.raises(ModelFileError, match="is a folder; give the model file in it"):
        load_model(tmp_path)
    with pytest.raises(ModelFileError, match="cannot be read: File name too long"):
        load_model(tmp_path / ("x" * 300))


def test_truncated_file_on_disk_is_refused(data, tmp_path):
    path = tmp_path / "model.npz"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelFileError, match="is truncated at"):
        load_model(path)


def test_a_checkpoint_is_not_a_model():
    with pytest.raises(ModelFileError, match="holds 'checkpoint', not 'model'; give a model file"):
        unpack_model(pack_arrays({"kind": "checkpoint"}, {}))


def test_float_weights_are_refused_on_load(data):
    def edit(header, arrays):
        arrays["connection0.weights"] = arrays["connection0.weights"].astype(np.float64)

    with pytest.raises(ModelFileError, match="'connection0.weights' is float64, a model holds signed integers"):
        unpack_model(changed(data, edit))


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda h, a: h["network"]["groups"][0].update(vth=-1), "vth -1 is outside"),
        (lambda h, a: h["network"]["groups"][0].update(du=1.5), "du 1.5 is not an integer"),
        (lambda h, a: h["network"]["groups"][0].update(dw=1), "unexpected keyword argument 'dw'"),
        (lambda h, a: h["network"]["groups"][0].update(model="gru"), "unknown model 'gru'"),
        (lambda h, a: h["network"]["groups"][0].pop("model"), "missing 'model'"),
        (lambda h, a: h["network"]["connections"][0].update(form="tree"), "unknown form 'tree'"),
        (
            lambda h, a: h["network"]["connections"][0].update(weights="none"),
            "is in array 'none', not in one of its own name",
        ),
        (lambda h, a: h["network"]["connections"][0].update(target="none"), "unknown group 'none'"),
        (lambda h, a: h["network"].update(dt="fast"), "unexpected contents"),
        (lambda h, a: h.pop("chip"), "missing 'chip'"),
        (lambda h, a: h["chip"].clear(), "unexpected contents"),
        (lambda h, a: h.update(scales=3), "unexpected contents"),
        (lambda h, a: a.update({"connection0.weights": np.full((4, 3), 300, np.int16)}), "weight 300 is outside"),
        (lambda h, a: a.update({"connection0.weights": np.zeros((3, 4), np.int16)}), "weights have shape"),
    ],
)
def test_contents_that_the_network_refuses_are_refused_with_the_reason(data, edit, words):
    with pytest.raises(ModelFileError, match=words) as caught:
        unpack_model(changed(data, edit), "m.npz")
    assert "file 'm.npz': unexpected contents" in str(caught.value)


def test_float_networks_are_not_saved(model, tmp_path):
    network = Network([Input("in", 1), CubaLIF("out", 1)])
    with pytest.raises(ModelFileError, match="has float parts, a model holds chip integers; quantize it first"):
        save_model(tmp_path / "m.npz", dataclasses.replace(model, network=network))
    assert os.listdir(tmp_path) == []


def test_metadata_that_json_lacks_is_refused(model, tmp_path):
    with pytest.raises(ModelFileError, match="cannot be written as JSON"):
        save_model(tmp_path / "m.npz", dataclasses.replace(model, metadata={"accuracy": float("nan")}))


def test_a_failed_save_keeps_the_old_model(model, data, tmp_path, monkeypatch):
    path = tmp_path / "m.npz"
    save_model(path, model)

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunFolderError, match="No space left"):
        save_model(path, dataclasses.replace(model, metadata={}))
    assert path.read_bytes() == data


@pytest.mark.parametrize("seed", range(12))
def test_every_model_and_connection_comes_back_as_it_was(seed):
    network = conv_network(seed) if seed < 3 else model_network(seed)
    back = unpack_model(pack_model(Model(network, load_chip("unlimited")))).network
    for old, new in zip((*network.groups, *network.connections), (*back.groups, *back.connections), strict=True):
        assert_same_part(new, old)
    assert compile(back, "unlimited").fingerprint == compile(network, "unlimited").fingerprint


def test_the_arithmetic_is_kept_and_an_unknown_one_refused(model):
    kept = dataclasses.replace(model, arithmetic="lava-dl")
    data = pack_model(kept)
    assert unpack_model(data).arithmetic == "lava-dl"
    assert unpack_model(pack_model(model)).arithmetic == "lava-0.10"
    with pytest.raises(ModelFileError, match="unknown arithmetic 'exact'"):
        unpack_model(changed(data, lambda h, a: h.update(arithmetic="exact")))
