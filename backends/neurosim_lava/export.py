"""Write a network as a script of plain Lava Processes, for whoever goes on in Lava; no Lava is needed to write it."""

from __future__ import annotations

import builtins
import json
import keyword
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from neurosim.arrayfile import pack_arrays
from neurosim.atomic import write_atomically
from neurosim.errors import ConfigError
from neurosim.events import Events, check_events
from neurosim.modelfile import Model
from neurosim.network import AnyConnection, Group, Input, Network, Sparse
from neurosim.version import VERSION
from neurosim_lava.emit import Code, Store, emit_neurons
from neurosim_lava.emit_links import emit_link
from neurosim_lava.place import LAVA_VERSION
from neurosim_lava.script import HEAD, RUN, SHIM

#: Names that a script uses itself, or had better not hide.
TAKEN = frozenset(
    "np sys lava Path ARRAYS FILE N_SAMPLES N_STEPS PARTS STATES READOUT RunSteps Loihi2SimCfg Source Sink SignMode "
    "csr_matrix build run main sample neurons recorders name neuron".split()
) | frozenset([*keyword.kwlist, *dir(builtins)])


class _Named(NamedTuple):
    """A group or connection with its name in the script."""

    name: str
    code: Code


def export(model: Model, events: Events, n_steps: int, path: Path) -> list[Path]:
    """Write a script and, beside it, an .npz file with weights, biases and input.

    Parameters
    ----------
    model : Model
    events : Events
        Input that the script plays: at least one sample.
    n_steps : int
        Steps of each sample.
    path : Path
        Script to write; its name must end with ".py".

    Returns
    -------
    list of Path
        The script and the file beside it. Each is written whole or not at all.

    Raises
    ------
    ConfigError
        If the name of the script is not that of a Python file, or the network has no neurons.
    FeatureError
        If the network has something that Lava does not have, by name.
    """
    if path.suffix != ".py":
        raise ConfigError(f"script {str(path)!r}: the name does not end with .py; give OUT.py")
    text, arrays = write_script(model, events, n_steps, path.with_suffix(".npz").name)
    beside = path.with_suffix(".npz")
    write_atomically(beside, arrays)
    write_atomically(path, text.encode())
    return [path, beside]


def write_script(model: Model, events: Events, n_steps: int, beside: str) -> tuple[str, bytes]:
    """Return the text of the script and the bytes of the file `beside` it; parameters as in `export`."""
    network, store = model.network, Store()
    neurons = [group for group in network.groups if not isinstance(group, Input)]
    if not neurons:
        raise ConfigError(f"network {network.name!r}: it has no neurons; nothing is left for Lava to run")
    events = check_events(events, network.n_inputs)
    connections = [c for c in network.connections if not (isinstance(c, Sparse) and not np.size(c.data))]
    links = [c.name.replace("->", "_to_").replace(".", "_") for c in connections]
    names = _identifiers([*(g.name for g in network.groups), *links])
    of_group = dict(zip((g.name for g in network.groups), names, strict=False))
    groups = {g.name: _Named(of_group[g.name], emit_neurons(g, of_group[g.name], store)) for g in neurons}
    joined = [
        (c, _Named(name, emit_link(c, name, store)))
        for c, name in zip(connections, names[len(network.groups) :], strict=True)
    ]
    parts = _parts(neurons, connections)
    _put_inputs(network, events, n_steps, of_group, store)
    used = {c.source for c in connections}
    inputs = [of_group[g.name] for g in network.groups if isinstance(g, Input) and g.name in used]
    head = HEAD.format(
        network=_quoted(network.name), version=VERSION, lava=LAVA_VERSION, beside=beside, shim=SHIM, n_steps=n_steps,
        n_samples=events.n_samples, parts=_table(parts), npz=_quoted(beside),
        states=_table({group.name: group.states for group in neurons}),
        readout=_readout(model),
        imports="\n".join(_imports([*groups.values(), *(named for _, named in joined)], bool(inputs))),
    )  # fmt: skip
    text = head + "\n".join(_build(network, of_group, inputs, groups, joined)) + RUN
    return text, pack_arrays({"kind": "lava-export", "network": network.name, "neurosim": VERSION}, store.arrays)


def _identifiers(names: Iterable[str]) -> list[str]:
    """Return a Python name for each name, all different."""
    found: list[str] = []
    for name in names:
        plain = re.sub(r"\W", "_", name, flags=re.ASCII) or "_"
        if plain[0].isdigit() or plain in TAKEN:
            plain = f"group_{plain}"
        number, candidate = 1, plain
        while candidate in found:
            number += 1
            candidate = f"{plain}_{number}"
        found.append(candidate)
    return found


def _parts(neurons: Sequence[Group], connections: list[AnyConnection]) -> dict[str, tuple[str, ...]]:
    """Return the groups that hang together, by the first one of each part: Lava runs a part at a time."""
    part = {group.name: group.name for group in neurons}
    for connection in connections * len(neurons):
        ends = [part.setdefault(end, end) for end in (connection.source, connection.target)]
        part = {name: ends[1] if of in ends else of for name, of in part.items()}
    found: dict[str, list[str]] = {}
    for group in neurons:
        found.setdefault(part[group.name], []).append(group.name)
    return {members[0]: tuple(members) for members in found.values()}


def _put_inputs(network: Network, events: Events, n_steps: int, names: Mapping[str, str], store: Store) -> None:
    """Keep the spikes of each input as (n_samples, n, n_steps), as Lava's ring buffer wants them."""
    kind = np.int8 if events.value is None else np.int32
    dense = np.zeros((events.n_samples, n_steps, events.n_inputs), kind)
    dense[:, : events.n_steps] = events.to_values()[:, :n_steps]
    for group in network.groups:
        if isinstance(group, Input):
            first = network.offsets[group.name]
            lines = dense[:, :, first : first + group.n]
            store.put(f"{names[group.name]}_spikes", np.ascontiguousarray(lines.transpose(0, 2, 1)), kind)


def _readout(model: Model) -> str:
    """Return the group that gives the answer as source text."""
    name = model.metadata.get("readout")
    with_voltage = {group.name for group in model.network.groups if "v" in group.states}
    return _quoted(str(name)) if name in with_voltage else "None"


def _imports(emitted: list[_Named], with_source: bool) -> list[str]:
    lines = {line for named in emitted for line in named.code.imports}
    lines |= {
        "from lava.magma.core.run_conditions import RunSteps",
        "from lava.magma.core.run_configs import Loihi2SimCfg",
        "from lava.proc.io.sink import RingBuffer as Sink",
    }
    if with_source:
        lines.add("from lava.proc.io.source import RingBuffer as Source")
    return sorted(lines)


def _table(rows: Mapping[str, tuple[str, ...]]) -> str:
    """Return a dictionary as source text, one line for each entry."""
    lines = [f"    {_quoted(key)}: [{', '.join(map(_quoted, values))}],\n" for key, values in rows.items()]
    return "{\n" + "".join(lines) + "}"


def _quoted(text: str) -> str:
    """Return a text as a Python literal, in the same quotes for every text."""
    return json.dumps(text)


def _build(
    network: Network,
    names: Mapping[str, str],
    inputs: list[str],
    groups: Mapping[str, _Named],
    joined: list[tuple[AnyConnection, _Named]],
) -> list[str]:
    """Return the lines of the function that makes and connects all Processes."""
    lines = []
    if inputs:
        lines.append("    # Inputs: a ring buffer plays column t - 1 in Lava's step t.")
        lines += [f'    {name} = Source(data=ARRAYS["{name}_spikes"][sample].astype(np.int32))' for name in inputs]
        lines.append("")
    lines.append("    # Neurons.")
    for named in groups.values():
        lines.append(f"    {named.name} = {named.code.call}")
        lines += [f"    {line.replace('{}', named.name)}" for line in named.code.after]
    if joined:
        lines += ["", "    # Connections: a spike takes one step through each."]
    for connection, named in joined:
        port = connection.port or network.group(connection.target).ports[0]
        start, end = f"{names[connection.source]}.s_out", f"{names[connection.target]}.{port}"
        flat = f".reshape({end}.shape)" if named.code.shaped else ""
        shaped = f".reshape({named.name}.s_in.shape)" if named.code.shaped else ""
        lines += [
            f"    {named.name} = {named.code.call}",
            f"    {start}{shaped}.connect({named.name}.s_in)",
            f"    {named.name}.a_out{flat}.connect({end})",
        ]
    pairs = [f"{_quoted(name)}: {named.name}" for name, named in groups.items()]
    lines += ["", "    neurons = {", *(f"        {pair}," for pair in pairs), "    }"]
    return lines
