"""Networks as SANA-FE's files describe them: groups, links between them, and the core of every neuron."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Attributes that say what is recorded or which unit is used, not what a neuron computes.
SILENT = frozenset(
    {"log_spikes", "log_potential", "log_v", "log_u", "connections_out", "soma_hw_name", "synapse_hw_name", "dendrite_hw_name"}
)  # fmt: skip
#: What `Group` holds for each neuron, with SANA-FE's default.
HELD = {"threshold": 0.0, "bias": 0.0, "leak_decay": 1.0}
#: Attributes that are understood only with the value that does nothing.
FIXED = {"reset": 0.0, "input_decay": 0.0, "reset_mode": "hard"}
SECTIONS = ("soma", "dendrite", "synapse")


class Group(NamedTuple):
    """Neurons of one model.

    Attributes
    ----------
    name : str
    is_input : bool
        Whether spikes come from a list; else ``v = trunc64(v leak_decay) + bias + input``, a spike where v > threshold, then v = 0.
    threshold, bias, leak_decay : (n,) float
    place : (n, 2) int
        Tile and core within the tile; tile t lies at x = t // height, y = t % height of the mesh.
    """

    name: str
    is_input: bool
    threshold: Floats
    bias: Floats
    leak_decay: Floats
    place: Ints

    @property
    def n(self) -> int:
        """Number of neurons."""
        return len(self.threshold)


class Link(NamedTuple):
    """Synapses between two groups, in one storage form.

    Attributes
    ----------
    source, target : str
    form : {"dense", "sparse", "conv"}
    weights : (n_pre, n_post), (n_synapses,) or (kernel_y, kernel_x, in_channels, out_channels) float
    pairs : (n_synapses, 2) int
        Source and target of each synapse of the form "sparse"; empty for others.
    image : (width, height, channels)
        Of the source of a convolution; its neurons, and those of the target, lie in the order (channel, y, x).
    stride : (x, y)
    """

    source: str
    target: str
    form: str
    weights: Floats
    pairs: Ints
    image: tuple[int, int, int] = (0, 0, 0)
    stride: tuple[int, int] = (1, 1)


class Described(NamedTuple):
    """A network with its mapping; `spikes` holds what the file lists for inputs: (n_steps, n) by group."""

    name: str
    groups: tuple[Group, ...]
    links: tuple[Link, ...]
    spikes: dict[str, npt.NDArray[np.bool_]]

    def group(self, name: str) -> Group:
        """Return the group of that name."""
        return next(group for group in self.groups if group.name == name)


class _Draft:
    """A network while it is read: settings and place of each neuron, synapses by pair of groups."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.settings: dict[str, list[dict[str, Any]]] = {}
        self.places: dict[str, dict[int, tuple[int, int]]] = {}
        self.links: list[Link] = []
        self.single: dict[tuple[str, str], list[tuple[int, int, float]]] = {}

    def add_group(self, name: str, n: int, settings: Mapping[str, Any]) -> None:
        self.settings[name] = [dict(settings) for _ in range(n)]
        self.places[name] = {}

    def finish(self) -> Described:
        for (source, target), synapses in self.single.items():
            pairs = np.array([synapse[:2] for synapse in synapses], np.int64)
            weights = np.array([synapse[2] for synapse in synapses], np.float64)
            self.links.append(Link(source, target, "sparse", weights, pairs))
        groups = tuple(self._group(name) for name in self.settings)
        return Described(self.name, groups, tuple(self.links), dict(self._spikes(groups)))

    def _group(self, name: str) -> Group:
        settings, places = self.settings[name], self.places[name]
        lost = [i for i in range(len(settings)) if i not in places]
        if lost:
            raise ValueError(f"group {name!r}: neuron {lost[0]} has no core; the file must map every neuron")
        for each in settings:
            _check_settings(name, each)
        inputs = ["input" in str(each.get("soma_hw_name", "")) or "spikes" in each for each in settings]
        if any(inputs) and not all(inputs):
            raise ValueError(f"group {name!r}: inputs and other neurons in one group; split it")
        held = {key: np.array([float(each.get(key, default)) for each in settings]) for key, default in HELD.items()}
        place = np.array([places[i] for i in range(len(settings))], np.int64)
        return Group(name, all(inputs), held["threshold"], held["bias"], held["leak_decay"], place)

    def _spikes(self, groups: Sequence[Group]) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
        for group in groups:
            if group.is_input:
                listed = [np.array(each.get("spikes", []), np.float64) != 0 for each in self.settings[group.name]]
                spikes = np.zeros((max(map(len, listed)), group.n), np.bool_)
                for i, train in enumerate(listed):
                    spikes[: len(train), i] = train
                yield group.name, spikes


def _check_settings(group: str, settings: Mapping[str, Any]) -> None:
    for key, value in settings.items():
        if key in FIXED:
            fixed = FIXED[key]
            if (value if isinstance(fixed, str) else float(value)) != fixed:
                raise ValueError(f"group {group!r}: {key} {value} is not {fixed}; our neurons have no such setting")
        elif key not in SILENT and key not in HELD and key != "spikes":
            raise ValueError(f"group {group!r}: attribute {key!r} belongs to a model that our neurons are not")


def read_netlist(text: str, name: str) -> Described:
    """Read the line-based form: g = group, n = neuron, e = edge, & = mapping.

    Raises
    ------
    ValueError
        If a line is of no known kind, or a neuron has what ours have not.
    """
    draft = _Draft(name)
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split("#")[0].split()
        if not fields:
            continue
        kind, what, settings = fields[0], fields[1], _inline(fields[2:])
        if kind == "g":
            draft.add_group(str(len(draft.settings)), int(what), settings)
        elif kind == "n":
            group, neuron = _address(what)
            draft.settings[group][neuron] |= settings
        elif kind == "e":
            (source, pre), (target, post) = map(_address, what.split("->"))
            if any(key not in ("weight", "w") for key in settings):
                raise ValueError(f"line {number}: synapse with {', '.join(settings)}; only weights are understood")
            weight = float(settings.get("weight", settings.get("w", 0)))
            draft.single.setdefault((source, target), []).append((pre, post, weight))
        elif kind == "&":
            neuron_of, _, core = what.partition("@")
            group, neuron = _address(neuron_of)
            draft.places[group][neuron] = _core(core)
        else:
            raise ValueError(f"line {number}: {kind!r} is none of g, n, e, &")
    return draft.finish()


def read_yaml(data: Mapping[str, Any]) -> Described:
    """Read the YAML form, loaded with every scalar left as text (``0.10`` is core 10 of tile 0, not 0.1)."""
    network = data["network"]
    draft = _Draft(network["name"])
    for group in network["groups"]:
        numbers: list[tuple[range, dict[str, Any]]] = []
        for entry in group["neurons"]:
            label, settings = next(iter(entry.items())) if isinstance(entry, Mapping) else (entry, {})
            numbers.append((_range(label), _settings(settings)))
        draft.add_group(group["name"], max(each.stop for each, _ in numbers), _settings(group.get("attributes", [])))
        for each, settings in numbers:
            for neuron in each:
                draft.settings[group["name"]][neuron] |= settings
    for entry in network.get("edges", []):
        ends, settings = next(iter(entry.items()))
        _read_edge(draft, ends, _settings(settings))
    for entry in data["mappings"]:
        address, settings = next(iter(entry.items()))
        group, _, label = address.partition(".")
        found = _settings(settings)
        for neuron in _range(label) if label else range(len(draft.settings[group])):
            draft.places[group][neuron] = _core(found["core"])
            if "soma" in found:
                draft.settings[group][neuron]["soma_hw_name"] = found["soma"]
    return draft.finish()


def _read_edge(draft: _Draft, ends: str, settings: dict[str, Any]) -> None:
    source, target = (end.strip() for end in ends.split("->"))
    if any(float(delay) for delay in settings.pop("delay", [])):
        raise ValueError(f"edge {ends!r}: delays are not understood; leave them 0")
    form = settings.pop("type", None)
    if form is None:
        (pre_group, pre), (post_group, post) = _address(source), _address(target)
        draft.single.setdefault((pre_group, post_group), []).append((pre, post, float(settings.pop("weight"))))
    else:
        weights = np.array(settings.pop("weight"), np.float64)
        shape = (len(draft.settings[source]), len(draft.settings[target]))
        none = np.zeros((0, 2), np.int64)
        if form == "dense":
            draft.links.append(Link(source, target, "dense", weights[: shape[0] * shape[1]].reshape(shape), none))
        elif form == "sparse":
            pairs = np.array(settings.pop("source_target_pairs"), np.int64)
            draft.links.append(Link(source, target, "sparse", weights, pairs))
        elif form == "conv2d":
            width, height, channels, k_x, k_y, n_out = (
                int(settings.pop(key, 1))
                for key in ("input_width", "input_height", "input_channels", "kernel_width", "kernel_height", "kernel_count")
            )  # fmt: skip
            stride = (int(settings.pop("stride_width", 1)), int(settings.pop("stride_height", 1)))
            kernel = weights.reshape(k_y, k_x, channels, n_out)
            draft.links.append(Link(source, target, "conv", kernel, none, (width, height, channels), stride))
        else:
            raise ValueError(f"edge {ends!r}: type {form!r} is none of dense, sparse, conv2d")
    if settings:
        raise ValueError(f"edge {ends!r}: {', '.join(settings)} are not understood")


def _settings(node: Any) -> dict[str, Any]:
    """Flatten a mapping, or a list of mappings, and the sections of units within."""
    found: dict[str, Any] = {}
    for part in node if isinstance(node, Sequence) and not isinstance(node, str) else [node]:
        for key, value in part.items():
            is_section = key in SECTIONS and not isinstance(value, str)
            found |= _settings(value) if is_section else {key: value}
    return found


def _inline(fields: Sequence[str]) -> dict[str, Any]:
    """Read ``a=1 b=2``, ``{a: 1, b: 2}`` or ``[a: 1]``."""
    text = " ".join(fields)
    if text[:1] in ("{", "["):
        parts = [part.split(":", 1) for part in text[1:-1].split(",") if part.strip()]
    else:
        parts = [field.split("=", 1) for field in fields]
    return {key.strip(): value.strip() for key, value in parts}


def _address(text: str) -> tuple[str, int]:
    group, _, neuron = text.strip().partition(".")
    return group, int(neuron)


def _core(text: str) -> tuple[int, int]:
    tile, _, core = text.partition(".")
    return int(tile), int(core)


def _range(label: str) -> range:
    first, _, last = label.partition("..")
    return range(int(first), int(last or first) + 1)
