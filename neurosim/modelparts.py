"""What a model file may say of groups, connections and probes, checked before anything is built from it.

A description of a few bytes can name sizes that fill any memory. The limits here bound what is built, whatever a file says; the
classes check everything else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

MAX_NEURONS = 1 << 24  # of a network, input lines included
MAX_GROUPS = 1 << 12
MAX_CONNECTIONS = 1 << 14
MAX_PROBES_PER_GROUP = 16
MAX_ROWS = 1 << 26  # presynaptic neurons of all sparse and one-to-one connections: each has an entry of eight bytes
MAX_SYNAPSES = 1 << 28  # of all convolutions: what runs them has an entry for each
MAX_GEOMETRY = 1 << 15  # stride, padding, dilation
MAX_NAME = 256  # characters
MAX_STEPS = 1 << 20

TEXTS = ("name", "source", "target", "port")
FLAGS = ("plastic", "cum_error", "signed", "relu")
LISTS = {"shape": 2, "input_shape": 3, "stride": 2, "padding": 2, "dilation": 2}
#: Metadata that commands allocate by.
COUNTED = ("n_steps", "n_steps_input")


def check_parts(network: Mapping[str, Any]) -> None:
    """Check what a header says of a network.

    Parameters
    ----------
    network : mapping
        ``name``, ``groups``, ``connections`` and ``probes`` of `docs/models.md`.

    Raises
    ------
    LookupError, TypeError, ValueError
        With the part, the value and the limit.
    """
    _check_text("network", "name", network["name"])
    groups, connections, probes = (_list(network, key) for key in ("groups", "connections", "probes"))
    limits = {"groups": MAX_GROUPS, "connections": MAX_CONNECTIONS, "probes": MAX_PROBES_PER_GROUP * len(groups)}
    for what, parts in (("groups", groups), ("connections", connections), ("probes", probes)):
        if len(parts) > limits[what]:
            raise ValueError(f"{len(parts)} {what} exceed the limit of {limits[what]}")
    sizes: dict[str, int] = {}
    for i, group in enumerate(groups):
        owner = f"group {i}"
        _check_fields(owner, group)
        sizes[group["name"]] = _count(owner, "n", group["n"], MAX_NEURONS)
    if sum(sizes.values()) > MAX_NEURONS:
        raise ValueError(f"{sum(sizes.values())} neurons exceed the limit of {MAX_NEURONS}")
    rows = 0
    for i, connection in enumerate(connections):
        owner = f"connection {i}"
        _check_fields(owner, connection)
        rows += _check_ends(owner, connection, sizes)
    if rows > MAX_ROWS:
        raise ValueError(f"{rows} rows of sparse connections exceed the limit of {MAX_ROWS}")
    for probe in probes:
        if not isinstance(probe, (list, tuple)) or [type(each) for each in probe] != [str, str]:
            raise TypeError(f"probe {probe!r} is not a group and a quantity")


def check_conv(name: str, output_shape: Sequence[int], n_post: int, n_weights: int) -> int:
    """Refuse a convolution whose target is of another size than it says, and return a bound of its synapses.

    Parameters
    ----------
    name : str
        Of the connection.
    output_shape : (width, height, channels)
    n_post : int
        Neurons of the target.
    n_weights : int
        Weights of the kernel.
    """
    if math.prod(output_shape) != n_post:
        raise ValueError(f"connection {name!r}: output shape {tuple(output_shape)} is not that of {n_post} neurons")
    return output_shape[0] * output_shape[1] * n_weights


def check_about(scales: Any, metadata: Any, version: Any) -> None:
    """Check what a model says beside its network."""
    if not isinstance(scales, dict) or not all(_is_number(value) for value in scales.values()):
        raise TypeError(f"scales {scales!r} are not a table of numbers")
    if not isinstance(metadata, dict):
        raise TypeError(f"metadata {metadata!r} are not a table")
    for key in COUNTED:
        if metadata.get(key) is not None:
            _count("metadata", key, metadata[key], MAX_STEPS)
    for key in ("task", "readout"):
        if metadata.get(key) is not None:
            _check_text("metadata", key, metadata[key])
    _check_text("header", "neurosim", version)


def _list(network: Mapping[str, Any], key: str) -> list[Any]:
    found = network[key]
    if not isinstance(found, list):
        raise TypeError(f"{key} are not a list")
    return found


def _check_fields(owner: str, part: Any) -> None:
    """Check the fields whose form the classes take as given: texts, flags and lists."""
    if not isinstance(part, dict):
        raise TypeError(f"{owner} is not a table")
    for key, value in part.items():
        if key in TEXTS:
            _check_text(owner, key, value)
        elif key in FLAGS and not isinstance(value, bool):
            raise TypeError(f"{owner}: {key} {value!r} is neither true nor false")
        elif key in LISTS:
            low, high = (1, MAX_NEURONS) if key.endswith("shape") else (int(key != "padding"), MAX_GEOMETRY)
            if not isinstance(value, list) or len(value) != LISTS[key]:
                raise TypeError(f"{owner}: {key} {value!r} is not a list of {LISTS[key]} integers")
            for each in value:
                _count(owner, key, each, high, low)
        elif key == "groups":
            _count(owner, key, value, MAX_NEURONS)
        elif isinstance(value, (list, dict)):
            raise TypeError(f"{owner}: {key} is a list or a table; arrays are stored beside the header")


def _check_ends(owner: str, connection: Mapping[str, Any], sizes: Mapping[str, int]) -> int:
    """Check the sizes that a connection says, and return how many rows it stores."""
    source, target = connection["source"], connection["target"]
    for end in (source, target):
        if end not in sizes:
            raise ValueError(f"{owner}: unknown group {end!r}")
    given = {
        "shape": [sizes[target], sizes[source]],
        "n": sizes[source],
        "input_shape": sizes[source],
    }
    for key, needed in given.items():
        if key in connection:
            found = math.prod(connection[key]) if key == "input_shape" else connection[key]
            if found != needed or isinstance(found, bool):
                raise ValueError(
                    f"{owner}: {key} {connection[key]!r} does not fit {source!r} and {target!r}, need {needed}"
                )
    return sizes[source] if "shape" in connection or "n" in connection else 0


def _check_text(owner: str, key: str, value: Any) -> None:
    if not isinstance(value, str) or len(value) > MAX_NAME or not value.isprintable():
        raise TypeError(f"{owner}: {key} {value!r} is not a text of up to {MAX_NAME} characters that can be shown")


def _count(owner: str, key: str, value: Any, most: int, least: int = 1) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{owner}: {key} {value!r} is not an integer in {least}..{most}")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
