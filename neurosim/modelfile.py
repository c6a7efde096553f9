"""Models in files: a quantised network, its chip, scales and origin, in chip integers only (`docs/models.md`)."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.arrayfile import Arrays, pack_arrays, unpack_arrays
from neurosim.atomic import write_atomically
from neurosim.chip import Chip
from neurosim.errors import ModelFileError, NeurosimError, one_line
from neurosim.fixedpoint import ARITHMETICS, DEFAULT_ARITHMETIC
from neurosim.modelparts import MAX_SYNAPSES, check_about, check_conv, check_parts
from neurosim.network import LIF, AnyConnection, Conv, Dense, Group, Input, Network, OneToOne, Probe, Sparse
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
)
from neurosim.npzbytes import MAX_BYTES
from neurosim.version import VERSION

__all__ = ["Model", "load_model", "pack_arrays", "pack_model", "save_model", "unpack_arrays", "unpack_model"]

KIND = "model"
BLOCK = 1 << 24  # bytes read at once

Table = dict[str, tuple[Callable[..., Any], tuple[str, ...]]]
LIF_ARRAYS = ("bias_mant", "bias_exp", "du", "dv", "vth")
#: Name in the file -> class, and which of its arguments are arrays.
GROUPS: Table = {
    "input": (Input, ()),
    "lif": (LIF, LIF_ARRAYS),
    "lif_reset": (LIFReset, LIF_ARRAYS),
    "lif_refractory": (LIFRefractory, LIF_ARRAYS),
    "lif_ternary": (TernaryLIF, (*LIF_ARRAYS, "vth_hi", "vth_lo")),
    "lif_multispike": (MultiSpikeLIF, LIF_ARRAYS),
    "sigma": (Sigma, ()),
    "delta": (Delta, ()),
    "sigma_delta": (SigmaDelta, ("bias",)),
    "product": (ProdNeuron, ()),
    "graded_vec": (GradedVec, ()),
    "rf": (RF, ()),
    "rf_izhikevich": (RFIzhikevich, ()),
    "atrlif": (ATRLIF, ("bias_mant", "bias_exp")),
}
CONNECTIONS: Table = {
    "dense": (Dense, ("weights", "delays")),
    "sparse": (Sparse, ("row", "col", "data", "delays")),
    "one_to_one": (OneToOne, ("weights", "delays")),
    "conv": (Conv, ("weights",)),
}
#: Registers that may be one number or one per neuron, and fields that files of earlier versions do not have.
SCALARS = ("du", "dv", "vth", "vth_hi", "vth_lo")
LATER = ("delays", "num_message_bits", "port")
LATER_OF: dict[type, tuple[str, ...]] = {Conv: ("plastic", "num_weight_bits")}
#: Narrowest type that holds each array; int32 for those not named.
TYPES: dict[str, type[np.signedinteger[Any]]] = {
    "bias_mant": np.int16,
    "bias_exp": np.int8,
    "weights": np.int16,
    "data": np.int16,
    "delays": np.int8,
}


@dataclass(frozen=True, eq=False)
class Model:
    """What a trained network needs to run again.

    Parameters
    ----------
    network : Network
        Quantised: every number that the chip sees is an integer.
    chip : Chip
    scales : dict of str to float
        Units of the quantised quantities, for reports only.
    arithmetic : str
        Whose arithmetic the neurons follow; see `neurosim.compile_network.compile`.
    metadata : dict
        JSON-able: task, seed, n_steps, rule and so on.
    version : str
        The neurosim that made the model.
    """

    network: Network
    chip: Chip
    scales: dict[str, float] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    version: str = VERSION
    arithmetic: str = DEFAULT_ARITHMETIC

    @property
    def readout(self) -> str:
        """Group that answers: the one that the metadata name, or the last."""
        return str(self.metadata.get("readout") or self.network.groups[-1].name)


def save_model(path: str | os.PathLike[str], model: Model) -> None:
    """Write a model file, whole or not at all; equal models give equal bytes."""
    write_atomically(path, pack_model(model, path))


def load_model(path: str | os.PathLike[str]) -> Model:
    """Read a model file after checking all of it.

    Raises
    ------
    ModelFileError
        If the file is missing, not a model, truncated, altered, from a newer version, or not in integers.
    """
    shown = os.fspath(path)
    return unpack_model(read_bytes(shown), shown)


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Return the content of a model file or checkpoint."""
    shown = os.fspath(path)
    try:
        with open(shown, "rb") as stream:
            parts = iter(lambda: stream.read(BLOCK), b"")  # a size asked for is allocated before anything is read
            data = b"".join(islice(parts, MAX_BYTES // BLOCK + 1))
    except FileNotFoundError:
        raise ModelFileError(
            f"file {shown!r}: does not exist; check the path, or train a model first: neurosim train"
        ) from None
    except IsADirectoryError:
        raise ModelFileError(f"file {shown!r}: is a folder; give the model file in it (model.npz)") from None
    except OSError as error:
        raise ModelFileError(
            f"file {shown!r}: cannot be read: {error.strerror or error}; check its permissions"
        ) from error
    if len(data) > MAX_BYTES:
        raise ModelFileError(f"file {shown!r}: exceeds the limit of {MAX_BYTES} bytes; give a model or checkpoint")
    return data


def pack_model(model: Model, path: str | os.PathLike[str] = "model") -> bytes:
    """Return the bytes of a model file (`path` is for error texts).

    Raises
    ------
    ModelFileError
        If the network has floats, or is beyond the limits of `neurosim.modelparts`, so that it could not be read again.
    """
    network = model.network
    if not network.is_quantized:
        raise ModelFileError(
            f"file {os.fspath(path)!r}: network {network.name!r} has float parts, a model holds chip integers; "
            "quantize it first"
        )
    arrays: Arrays = {}
    described = {
        "name": network.name,
        "dt": float(network.dt),
        "groups": [_describe(f"group{i}", g, "model", GROUPS, arrays) for i, g in enumerate(network.groups)],
        "connections": [
            _describe(f"connection{i}", c, "form", CONNECTIONS, arrays) for i, c in enumerate(network.connections)
        ],
        "probes": [[probe.group, probe.what] for probe in network.probes],
    }
    header = {
        "kind": KIND,
        "neurosim": model.version,
        "network": described,
        "chip": model.chip.to_dict(),
        "scales": model.scales,
        "metadata": model.metadata,
    }
    if model.arithmetic != DEFAULT_ARITHMETIC:
        header["arithmetic"] = model.arithmetic
    try:
        check_parts(described)
        check_about(dict(model.scales), dict(model.metadata), model.version)
    except (TypeError, ValueError) as error:
        raise ModelFileError(
            one_line(f"file {os.fspath(path)!r}: cannot hold this model: {error}; change it")
        ) from error
    return pack_arrays(header, arrays)


def unpack_model(data: bytes, path: str | os.PathLike[str] = "model") -> Model:
    """Check and read the bytes of a model file (`path` is for error texts)."""
    owner = f"file {os.fspath(path)!r}"
    header, arrays = unpack_arrays(data, path)
    kind = header.get("kind")
    if kind != KIND:
        raise ModelFileError(
            one_line(f"{owner}: holds {kind!r}, not {KIND!r}; give a model file (model.npz of a run folder)")
        )
    for name, array in arrays.items():
        if array.dtype.kind != "i":
            raise ModelFileError(
                one_line(
                    f"{owner}: unexpected contents: array {name!r} is {array.dtype}, a model holds signed integers; "
                    "save it again"
                )
            )
    try:
        return _build(header, arrays)
    except (LookupError, TypeError, ValueError, NeurosimError) as error:
        what = f"missing {error}" if isinstance(error, KeyError) else str(error)
        raise ModelFileError(
            one_line(f"{owner}: unexpected contents: {what}; save it again with neurosim {VERSION}")
        ) from error


def _build(header: dict[str, Any], arrays: Arrays) -> Model:
    """Build the model of a header; each array is taken by the one part that it belongs to."""
    described, scales, metadata, version = (header[key] for key in ("network", "scales", "metadata", "neurosim"))
    check_parts(described)
    check_about(scales, metadata, version)
    left = dict(arrays)
    groups = [_make(f"group{i}", d, "model", GROUPS, left) for i, d in enumerate(described["groups"])]
    links = [_make(f"connection{i}", d, "form", CONNECTIONS, left) for i, d in enumerate(described["connections"])]
    if left:
        raise ValueError(f"array {min(left)!r} belongs to no group or connection")
    sizes = {group.name: group.n for group in groups}
    convs = [link for link in links if isinstance(link, Conv)]
    n_synapses = sum(check_conv(c.name, c.output_shape, sizes[c.target], np.size(c.weights)) for c in convs)
    if n_synapses > MAX_SYNAPSES:
        raise ValueError(f"{n_synapses} synapses of convolutions exceed the limit of {MAX_SYNAPSES}")
    dt, name = described["dt"], described["name"]
    if type(dt) not in (int, float):
        raise TypeError(f"dt {dt!r} is not a number")
    probes = tuple(Probe(group, what) for group, what in described["probes"])
    network = Network(tuple(groups), tuple(links), probes, dt=dt, name=name)
    arithmetic = header.get("arithmetic", DEFAULT_ARITHMETIC)
    if arithmetic not in ARITHMETICS:
        raise ValueError(f"unknown arithmetic {arithmetic!r}")
    return Model(network, Chip.from_dict(header["chip"]), scales, metadata, version, arithmetic)


def _describe(prefix: str, part: Group | AnyConnection, key: str, table: Table, arrays: Arrays) -> dict[str, Any]:
    """Describe a group or connection by its fields; those that are arrays are stored beside and named.

    Registers that are one number for a group stay in the text, and so does what has its default since it came later.
    """
    name, stored = next((name, stored) for name, (build, stored) in table.items() if type(part) is build)
    described: dict[str, Any] = {key: name}
    for item in fields(part):
        value = getattr(part, item.name)
        if item.name in stored and not (item.name in SCALARS and np.ndim(value) == 0) and value is not None:
            value = _put(arrays, f"{prefix}.{item.name}", value, TYPES.get(item.name, np.int32))
        elif item.name in (*LATER, *LATER_OF.get(type(part), ())) and value == item.default:
            continue
        value = value.item() if isinstance(value, np.generic) else value
        described[item.name] = list(value) if isinstance(value, tuple) else value
    return described


def _put(arrays: Arrays, name: str, values: npt.ArrayLike, dtype: npt.DTypeLike) -> str:
    """Store checked integers in the narrowest type that holds their register and return the array's name."""
    stored = np.asarray(values).astype(dtype)
    assert np.array_equal(stored, np.asarray(values)), name
    arrays[name] = stored
    return name


def _make(prefix: str, described: dict[str, Any], key: str, table: Table, left: Arrays) -> Any:
    """Build a group or connection: its class by name, its arrays taken out of those that are left."""
    rest = dict(described)
    name = rest.pop(key)
    if name not in table:
        raise ValueError(f"unknown {key} {name!r}")
    build, stored = table[name]
    for field_name in stored:
        value = rest.get(field_name)
        if isinstance(value, str):
            if value != f"{prefix}.{field_name}":
                raise ValueError(f"{prefix}: {field_name} is in array {value!r}, not in one of its own name")
            rest[field_name] = left.pop(value)
        elif value is not None and field_name not in SCALARS:
            raise ValueError(f"{prefix}: {field_name} {value!r} is not the name of an array")
    if build is OneToOne and np.shape(rest["weights"]) != (rest["n"],):
        raise ValueError(f"{prefix}: weights have shape {np.shape(rest['weights'])}, need ({rest['n']},)")
    return build(**rest)
