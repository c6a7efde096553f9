"""Models in files: a quantised network, its chip, scales and origin, in chip integers only."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.arrayfile import Arrays, pack_arrays, unpack_arrays
from neurosim.atomic import write_atomically
from neurosim.chip import Chip
from neurosim.errors import ModelFileError, NeurosimError
from neurosim.network import LIF, AnyConnection, Dense, Group, Input, Network, Probe, Sparse
from neurosim.version import VERSION

__all__ = ["Model", "load_model", "pack_arrays", "pack_model", "save_model", "unpack_arrays", "unpack_model"]

KIND = "model"

Table = dict[str, tuple[Callable[..., Any], tuple[str, ...]]]
#: Name in the file -> class, and which of its arguments are arrays.
GROUPS: Table = {"input": (Input, ()), "lif": (LIF, ("bias_mant", "bias_exp"))}
CONNECTIONS: Table = {"dense": (Dense, ("weights",)), "sparse": (Sparse, ("row", "col", "data"))}


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
            "groups": [_describe_group(i, group, arrays) for i, group in enumerate(network.groups)],
            "connections": [_describe_connection(i, c, arrays) for i, c in enumerate(network.connections)],
            "probes": [[probe.group, probe.what] for probe in network.probes],
        },
        "chip": model.chip.to_dict(),
        "scales": model.scales,
        "metadata": model.metadata,
    }
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
        return Model(network, chip, dict(header["scales"]), dict(header["metadata"]), header["neurosim"])
    except (LookupError, TypeError, ValueError, NeurosimError) as error:
        what = f"missing {error}" if isinstance(error, KeyError) else str(error)
        raise ModelFileError(f"{owner}: unexpected contents: {what}; save it again with neurosim {VERSION}") from error


def _describe_group(i: int, group: Group, arrays: Arrays) -> dict[str, Any]:
    if isinstance(group, LIF):
        biases = {"bias_mant": _put(arrays, f"group{i}.bias_mant", group.bias_mant, np.int16),
                  "bias_exp": _put(arrays, f"group{i}.bias_exp", group.bias_exp, np.int8)}  # fmt: skip
        return {
            "model": "lif",
            "name": group.name,
            "n": int(group.n),
            "du": group.du,
            "dv": group.dv,
            "vth": group.vth,
        } | biases
    assert isinstance(group, Input)
    return {"model": "input", "name": group.name, "n": int(group.n)}


def _describe_connection(i: int, connection: AnyConnection, arrays: Arrays) -> dict[str, Any]:
    assert isinstance(connection, (Dense, Sparse))
    common = {
        key: getattr(connection, key)
        for key in ("source", "target", "weight_exp", "num_weight_bits", "sign_mode", "plastic")
    }
    if isinstance(connection, Dense):
        return common | {
            "form": "dense",
            "weights": _put(arrays, f"connection{i}.weights", connection.weights, np.int16),
        }
    parts = {key: _put(arrays, f"connection{i}.{key}", getattr(connection, key), np.int32) for key in ("row", "col")}
    data = _put(arrays, f"connection{i}.data", connection.data, np.int16)
    return common | parts | {"form": "sparse", "shape": list(connection.shape), "data": data}


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
    return build(**(rest | {key: arrays[rest[key]] for key in stored}))
