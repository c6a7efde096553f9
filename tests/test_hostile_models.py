"""Files whose checksum is right and whose contents are not: refused before anything of the size that they say is made."""

import hashlib
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurosim.answers import Answer
from neurosim.arrayfile import DIGEST_LENGTH, MAX_VALUES, TRAILER, pack_arrays, unpack_arrays
from neurosim.chip import load_chip
from neurosim.errors import MAX_LINE, ModelFileError, one_line
from neurosim.modelfile import Model, load_model, pack_model, unpack_model
from neurosim.network import LIF, Conv, Dense, Input, Network, OneToOne, Probe, Sparse
from neurosim.npzbytes import write_members

ROOM = 32 << 20  # bytes that refusing a small file may take


def signed(text: str, arrays: dict[str, Any]) -> bytes:
    """Return a file with any header text."""
    members = {"header": np.frombuffer(text.encode("ascii"), np.uint8)} | dict(sorted(arrays.items()))
    body = write_members(members, TRAILER, DIGEST_LENGTH)
    return body + hashlib.sha256(body).hexdigest().encode()


@pytest.fixture(scope="module")
def data() -> bytes:
    network = Network(
        [Input("a", 4), LIF("b", 4, du=4095), LIF("c", 9, du=4095)],
        [
            Dense("a", "b", np.eye(4, dtype=int), delays=1),
            Conv("b", "c", np.ones((1, 2, 2, 1), int), (2, 2, 1), padding=1),
            OneToOne("b", "b", 4, [1, 2, 3, 4]),
            Sparse("c", "b", (4, 9), [0], [0], [1]),
        ],
        [Probe("b")],
    )
    return pack_model(Model(network, load_chip("unlimited"), {"x": 1.0}, {"n_steps": 5}))


Edit = Callable[[dict[str, Any], list[Any], list[Any], dict[str, Any]], object]


def edited(data: bytes, edit: Edit) -> bytes:
    header, arrays = unpack_arrays(data)
    edit(header, header["network"]["groups"], header["network"]["connections"], arrays)
    return signed(json.dumps({"format": "neurosim", "format_version": 1, "content": header}), arrays)


def refused(data: bytes, words: str) -> None:
    """Check that a file is refused in one line, with little memory."""
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError, match=words) as caught:
            unpack_model(data, "m.npz")
        assert tracemalloc.get_traced_memory()[1] < ROOM + 8 * len(data)
    finally:
        tracemalloc.stop()
    assert (
        "'m.npz'" in str(caught.value) and str(caught.value).isprintable() and len(str(caught.value)) <= MAX_LINE + 10
    )


EDITS: list[tuple[Edit, str]] = [
    (lambda h, g, c, a: g[0].update(n=2**62), "group 0: n 4611686018427387904 is not an integer in 1..16777216"),
    (lambda h, g, c, a: g[0].update(n=True), "n True is not an integer"),
    (lambda h, g, c, a: g[0].update(n=2**24), "16777229 neurons exceed the limit of 16777216"),
    (lambda h, g, c, a: g[1].update(name="\x1b[31m"), "is not a text of up to 256 characters that can be shown"),
    (lambda h, g, c, a: g[1].update(name="x" * 300), "is not a text of up to 256"),
    (lambda h, g, c, a: g.extend({"model": "sigma", "name": f"g{i}", "n": 1} for i in range(5000)), "5003 groups exceed the limit of 4096"),
    (lambda h, g, c, a: g.append(5), "group 3 is not a table"),
    (lambda h, g, c, a: g[1].update(vth=[1, 2, 3, 4]), "vth is a list or a table; arrays are stored beside"),
    (lambda h, g, c, a: c[1].update(input_shape=[2**20, 2**20, 1]), "does not fit 'b' and 'c', need 4"),
    (lambda h, g, c, a: c[1].update(input_shape=[2**62, 4, 1]), "input_shape 4611686018427387904 is not"),
    (lambda h, g, c, a: c[1].update(input_shape="221"), "is not a list of 3 integers"),
    (lambda h, g, c, a: c[1].update(padding=[2**15, 2**15]), r"output shape \(65537, 65537, 1\) is not that of 9 neurons"),
    (lambda h, g, c, a: c[1].update(stride=[2**40, 1]), "stride 1099511627776 is not an integer in 1..32768"),
    (lambda h, g, c, a: c[1].update(groups=1.0), "groups 1.0 is not an integer"),
    (lambda h, g, c, a: c[3].update(shape=[4, 2**40]), "shape 1099511627776 is not"),
    (lambda h, g, c, a: c[3].update(shape=[4, 2**23]), "does not fit 'c' and 'b', need"),
    (lambda h, g, c, a: c[2].update(n=2**40), "n 1099511627776 does not fit"),
    (lambda h, g, c, a: a.update({"connection2.weights": np.array(1, np.int16)}), r"weights have shape \(\), need \(4,\)"),
    (lambda h, g, c, a: c[0].update(delays=5), "delays 5 is not the name of an array"),
    (lambda h, g, c, a: c[0].update(plastic="false"), "plastic 'false' is neither true nor false"),
    (lambda h, g, c, a: c[0].update(port=0), "port 0 is not a text"),
    (lambda h, g, c, a: c.extend(dict(c[0]) for _ in range(50)), "weights is in array 'connection0.weights', not in one of its own"),
    (lambda h, g, c, a: c.extend(dict(c[0]) for _ in range(20_000)), "20004 connections exceed the limit of 16384"),
    (lambda h, g, c, a: c[2].pop("source"), "missing 'source'"),
    (lambda h, g, c, a: a.update(extra=np.zeros(3, np.int8)), "array 'extra' belongs to no group or connection"),
    (lambda h, g, c, a: h["network"].update(probes=[["b", "v"]] * 1000), "1000 probes exceed the limit of 48"),
    (lambda h, g, c, a: h["network"].update(probes=[5]), "probe 5 is not a group and a quantity"),
    (lambda h, g, c, a: h["network"].update(groups={}), "groups are not a list"),
    (lambda h, g, c, a: h["network"].update(dt=True), "dt True is not a number"),
    (lambda h, g, c, a: h.update(scales={"x": "1"}), "are not a table of numbers"),
    (lambda h, g, c, a: h.update(metadata=[]), "metadata .* are not a table"),
    (lambda h, g, c, a: h["metadata"].update(n_steps=2**40), "n_steps 1099511627776 is not an integer in 1..1048576"),
    (lambda h, g, c, a: h["metadata"].update(task=["x"]), "task .* is not a text"),
    (lambda h, g, c, a: h.update(neurosim=None), "neurosim None is not a text"),
    (lambda h, g, c, a: h["chip"]["mesh"].update(value=[10**6, 10**6]), "mesh 1000000000000 exceeds the limit of 1048576"),
    (lambda h, g, c, a: h["chip"]["n_cores"].update(value=10**9), "exceeds"),
    (lambda h, g, c, a: h["chip"]["state_bits"].update(value=10**9, kind="assumed"), "state_bits: value 1000000000 exceeds the limit of 128"),
    (lambda h, g, c, a: h["chip"]["synapse_word_bits"].update(value=2**63), "exceeds the limit of 1099511627776"),
    (lambda h, g, c, a: h.update(chip="unlimited"), "unknown key 'u'"),
]  # fmt: skip


@pytest.mark.parametrize(("edit", "words"), EDITS)
def test_descriptions_of_what_cannot_be_are_refused(data: bytes, edit: Edit, words: str) -> None:
    refused(edited(data, edit), words)


def inside(value: str) -> str:
    return f'{{"format":"neurosim","format_version":1,"content":{{"kind":"model","x":{value}}}}}'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "nested more than 32 deep"),
        (inside("[" * 40 + "]" * 40), "nested more than 32 deep"),
        (inside("NaN"), "number nan is not finite"),
        (inside("-Infinity"), "number -inf is not finite"),
        (inside("1e999"), "number inf is not finite"),
        (inside("1" * 100_000), "a number exceeds 64 bits"),
        (inside(str(2**64)), "a number exceeds 64 bits"),
        (inside('{"a":1,"a":2}'), "a key is there twice"),
        (inside('"\\ud800"'), "half of a pair of surrogates"),
        (inside("1").replace("1,", "true,"), "version True"),
        (inside("1").replace(":1,", ":0,"), "version 0"),
        (inside("1")[:-1], "unexpected contents"),
        (json.dumps([1, 2]), "header is not a table"),
        (inside('"' + "long" * 1000 + '"').replace('"model"', '"' + "x" * 100_000 + '"'), "holds 'xxxxx"),
    ],
)
def test_headers_that_are_no_header_are_refused(text: str, words: str) -> None:
    refused(signed(text, {}), words)


def test_a_header_with_very_many_values_is_refused_before_it_is_read() -> None:
    data = signed(inside("[" + "0," * MAX_VALUES + "0]"), {})
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError, match="values, limits are 67108864 and 4194304"):
            unpack_model(data)
        assert tracemalloc.get_traced_memory()[1] < 4 * len(data)
    finally:
        tracemalloc.stop()


def test_convolutions_have_a_limit_of_synapses(data: bytes) -> None:
    n = 1 << 18
    network = Network(
        [Input("a", n), LIF("b", n, du=4095)], [Conv("a", "b", np.ones((1, 33, 33, 1), int), (512, 512, 1), padding=16)]
    )
    with pytest.raises(ModelFileError, match="285474816 synapses of convolutions exceed the limit of 268435456"):
        unpack_model(pack_model(Model(network, load_chip("unlimited"))))


@pytest.mark.parametrize("name", ["a\nb", "x" * 257])
def test_what_could_not_be_read_again_is_not_written(name: str) -> None:
    network = Network([Input(name, 1), LIF("b", 1)])
    with pytest.raises(ModelFileError, match="cannot hold this model: group 0: name .* can be shown; change it"):
        pack_model(Model(network, load_chip("unlimited")))


def test_numpy_integers_and_flags_are_written_as_plain_ones() -> None:
    network = Network(
        [Input("a", np.int64(3)), LIF("b", np.int32(2))],
        [Dense("a", "b", np.ones((2, 3), int), plastic=np.bool_(True))],
    )  # type: ignore[arg-type]
    found = unpack_model(pack_model(Model(network, load_chip("unlimited")))).network
    assert [group.n for group in found.groups] == [3, 2] and found.connections[0].plastic is True


def test_errors_are_one_line_of_bounded_length() -> None:
    assert one_line("fine") == "fine"
    assert one_line("a\nb\x1b[31m") == "a b [31m"
    shown = one_line("begin " + "x" * 100_000 + " end")
    assert len(shown) <= MAX_LINE + 10 and shown.startswith("begin") and shown.endswith("end") and " ... " in shown


def test_devices_that_never_end_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neurosim.modelfile.MAX_BYTES", 1 << 20)
    monkeypatch.setattr("neurosim.modelfile.BLOCK", 1 << 18)
    with pytest.raises(ModelFileError, match="exceeds the limit of 1048576 bytes; give a model or checkpoint"):
        load_model("/dev/zero")


def test_ten_lines_of_numpy_read_a_model(data: bytes, tmp_path: Path) -> None:
    """The lines of docs/models.md."""
    path = tmp_path / "model.npz"
    path.write_bytes(data)
    raw = path.read_bytes()
    assert hashlib.sha256(raw[:-64]).hexdigest() == raw[-64:].decode()
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    document = json.loads(arrays.pop("header").tobytes())
    assert (document["format"], document["format_version"]) == ("neurosim", 1)
    network = document["content"]["network"]
    found = {f"{c['source']}->{c['target']}": arrays[c["weights"]] for c in network["connections"] if "weights" in c}
    np.testing.assert_array_equal(found["a->b"], np.eye(4))
    assert [g["name"] for g in network["groups"]] == ["a", "b", "c"]


def container() -> bytes:
    return pack_arrays({"a": 1}, {"w": np.array([1, -2], np.int8), "x": np.arange(5)})


def test_zip_tricks_are_refused() -> None:
    body = container()[:-DIGEST_LENGTH]
    directory = body.index(b"PK\x01\x02")
    second = body.index(b"PK\x01\x02", directory + 4)
    member = body.index(b"PK\x03\x04", 4)
    end = body.index(b"PK\x05\x06")
    changes = {
        "gap": body[:member] + b"\0" * 8 + body[member:],
        "before": b"PK\x03\x04" + body,
        "hidden member": body[:directory] + body[member:directory] + body[directory:],
        "listed twice": body[:second] + body[second:end].replace(b"w.npy", b"x.npy") + body[end:],
        "same place": body[: second + 42] + body[directory + 42 : directory + 46] + body[second + 46 :],
        "size": body[: second + 24] + b"\xff\xff\xff\x7f" + body[second + 28 :],
        "no directory": body[:directory] + body[end:],
        "count": body[: end + 8] + b"\xff\xff\xff\xff" + body[end + 12 :],
        "comment": body[: end + 20] + b"\xff\xff" + body[end + 22 :],
        "compressed": body[: member + 8] + b"\x08" + body[member + 9 :],
        "encrypted": body[: member + 6] + b"\x01" + body[member + 7 :],
        "crc": body[: member + 14] + b"\0\0\0\0" + body[member + 18 :],
        "cut member": body[: member + 20] + TRAILER,
    }
    for what, changed in changes.items():
        assert changed != body, what
        with pytest.raises(ModelFileError, match="unexpected contents"):
            unpack_arrays(changed + hashlib.sha256(changed).hexdigest().encode(), what)


def test_too_many_or_too_large_arrays_are_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neurosim.npzbytes.MAX_ARRAYS", 3)
    with pytest.raises(ModelFileError, match="4 arrays of .* bytes exceed the limits of 3 and"):
        pack_arrays({}, {name: np.zeros(1) for name in "abc"})
    monkeypatch.setattr("neurosim.npzbytes.MAX_BYTES", 2000)
    with pytest.raises(ModelFileError, match="2 arrays of .* bytes exceed the limits of 3 and 2000"):
        pack_arrays({}, {"a": np.zeros(300)})


@pytest.mark.parametrize("answer", [{"n_windows": 10**9}, {"lag": 10**9}, [], {"n_windows": 0}])
def test_answers_with_very_many_windows_are_refused(answer: Any) -> None:
    with pytest.raises(ModelFileError, match="is not known to this neurosim"):
        Answer.from_metadata({"answer": answer}, "out", "model 'm'")
