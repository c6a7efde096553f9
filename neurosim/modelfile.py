"""Models in files: a quantised network, its chip, scales and origin, in chip integers only."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.arrayfile import Arrays, pack_arrays, unpack_arrays
from neurosim.atomic import write_atomically
from neurosim.chip import Chip
from neurosim.errors import ModelFileError, NeurosimError
from neurosim.fixedpoint import ARITHMETICS, DEFAULT_ARITHMETIC
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
from neurosim.version import VERSION

__all__ = ["Model", "load_model", "pack_arrays", "pack_model", "save_model", "unpack_arrays", "unpack_model"]

KIND = "model"

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
        return Path(shown).read_bytes()
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


def pack_model(model: Model, path: str | os.PathLike[str] = "model") -> bytes:
    """Return the bytes of a model file (`path` is for error texts)."""
    network = model.network
    if not network.is_quantized:
        raise ModelFileError(
            f"file {os.fspath(path)!r}: network {network.name!r} has float parts, a model holds chip integers; "
            "quantize it first"
        )
    arrays: Arrays = {}
    header = {
        "kind": KIND,
        "neurosim": model.version,
        "network": {
            "name": network.name,
            "dt": float(network.dt),
            "groups": [_describe(f"group{i}", g, "model", GROUPS, arrays) for i, g in enumerate(network.groups)],
            "connections": [
                _describe(f"connection{i}", c, "form", CONNECTIONS, arrays) for i, c in enumerate(network.connections)
            ],
            "probes": [[probe.group, probe.what] for probe in network.probes],
        },
        "chip": model.chip.to_dict(),
        "scales": model.scales,
        "metadata": model.metadata,
    }
    if model.arithmetic != DEFAULT_ARITHMETIC:
        header["arithmetic"] = model.arithmetic
    return pack_arrays(header, arrays)


def unpack_model(data: bytes, path: str | os.PathLike[str] = "model") -> Model:
    """Check and read the bytes of a model file (`path` is for error texts)."""
    owner = f"file {os.fspath(path)!r}"
    header, arrays = unpack_arrays(data, path)
    kind = header.get("kind")
    if kind != KIND:
        raise ModelFileError(f"{owner}: holds {kind!r}, not {KIND!r}; give a model file (model.npz of a run folder)")
    for name, array in arrays.items():
        if array.dtype.kind != "i":
            raise ModelFileError(
                f"{owner}: unexpected contents: array {name!r} is {array.dtype}, a model holds signed integers; "
                "save it again"
            )
    try:
        described = header["network"]
        network = Network(
            groups=tuple(_make(d, "model", GROUPS, arrays) for d in described["groups"]),
            connections=tuple(_make(d, "form", CONNECTIONS, arrays) for d in described["connections"]),
            probes=tuple(Probe(group, what) for group, what in described["probes"]),
            dt=described["dt"],
            name=described["name"],
        )
        chip = Chip.from_dict(header["chip"])
        arithmetic = header.get("arithmetic", DEFAULT_ARITHMETIC)
        if arithmetic not in ARITHMETICS:
            raise ValueError(f"unknown arithmetic {arithmetic!r}")
        return Model(network, chip, dict(header["scales"]), dict(header["metadata"]), header["neurosim"], arithmetic)
    except (LookupError, TypeError, ValueError, NeurosimError) as error:
        what = f"missing {error}" if isinstance(error, KeyError) else str(error)
        raise ModelFileError(f"{owner}: unexpected contents: {what}; save it again with neurosim {VERSION}") from error


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
        described[item.name] = list(value) if isinstance(value, tuple) else value
    return described


def _put(arrays: Arrays, name: str, values: npt.ArrayLike, dtype: npt.DTypeLike) -> str:
    """Store checked integers in the narrowest type that holds their register and return the array's name."""
    stored = np.asarray(values).astype(dtype)
    assert np.array_equal(stored, np.asarray(values)), name
    arrays[name] = stored
    return name


def _make(described: dict[str, Any], key: str, table: Table, arrays: Arrays) -> Any:
    """Build a group or connection: its class by name, the named arrays put in."""
    rest = dict(described)
    name = rest.pop(key)
    if name not in table:
        raise ValueError(f"unknown {key} {name!r}")
    build, stored = table[name]
    return build(**(rest | {key: arrays[rest[key]] for key in stored if isinstance(rest.get(key), str)}))
