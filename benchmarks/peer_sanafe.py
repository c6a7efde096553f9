"""Run networks on SANA-FE: a script for an interpreter that has sanafe and PyYAML, not part of neurosim.

usage: peer_sanafe.py yaml NETWORK.yaml          writes the file as JSON, every scalar as text
       peer_sanafe.py run DESCRIPTION.npz ARCHITECTURE.yaml RESULT.npz
       peer_sanafe.py file NETWORK ARCHITECTURE.yaml N_STEPS RESULT.npz

`run` builds the described network, `file` reads it with SANA-FE's own loader (a name in .net is of the line-based form). Results are
one row per step, samples after each other: fired, updated, spikes (synapses read), hops, energies in J, seconds of both timing
models; packets by sample; and all spikes as rows of sample, step, group, neuron. All neurons of a file are recorded.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import sanafe
import yaml

SYNAPSES = {"dense": "loihi_dense_synapse", "sparse": "loihi_sparse_synapse", "conv": "loihi_conv_synapse"}
SOMA, INPUT = "loihi_lif", "loihi_inputs"
PER_STEP = ("fired", "updated", "spikes", "hops", "synapse_energy", "dendrite_energy", "soma_energy", "network_energy")


def read_yaml(path: str) -> None:
    """Print a network file as JSON."""
    with open(path, encoding="utf-8") as file:
        json.dump(yaml.load(file, Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader)), sys.stdout)


def build(described: Any, header: dict[str, Any], architecture: Any) -> Any:
    """Return the network, mapped to the cores of the architecture."""
    network = sanafe.Network()
    cores: dict[tuple[int, int], Any] = {}
    taken: dict[tuple[int, int], int] = {}  # inputs of each core: a unit of each holds one
    groups = {}
    for group in header["groups"]:
        name, n = group["name"], group["n"]
        made = groups[name] = network.create_neuron_group(name, n, log_spikes=True, soma_hw_name=SOMA)
        values = [described[f"{key} {name}"] for key in ("threshold", "bias", "leak_decay")]
        for i, (tile, core) in enumerate(described[f"place {name}"].tolist()):
            if (tile, core) not in cores:
                cores[tile, core] = architecture.tiles[tile].cores[core]
            if group["input"]:
                unit = taken[tile, core] = taken.get((tile, core), -1) + 1
                made[i].set_attributes(soma_hw_name=f"{INPUT}[{unit}]")
            else:
                threshold, bias, leak = (float(value[i]) for value in values)
                model = {"threshold": threshold, "bias": bias, "leak_decay": leak, "reset": 0.0}
                made[i].set_attributes(model_attributes=model)
            made[i].map_to_core(cores[tile, core])
    for k, link in enumerate(header["links"]):
        source, target = groups[link["source"]], groups[link["target"]]
        for neuron in target:
            neuron.set_attributes(default_synapse_hw_name=SYNAPSES[link["form"]])
        weights = described[f"weights {k}"].ravel()
        if link["form"] == "dense":
            source.connect_neurons_dense(target, {"weight": weights})
        elif link["form"] == "sparse":
            pairs = [tuple(pair) for pair in described[f"pairs {k}"].tolist()]
            source.connect_neurons_sparse(target, {"weight": weights}, pairs)
        else:
            k_y, k_x, channels, n_out = described[f"weights {k}"].shape
            (width, height, _), (stride_x, stride_y) = link["image"], link["stride"]
            source.connect_neurons_conv2d(
                target, {"weight": weights}, width, height, channels, k_x, k_y, n_out, stride_x, stride_y
            )
    return network


class Run:
    """What all samples gave."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self.rows: dict[str, list[float]] = {key: [] for key in (*PER_STEP, "simple", "detailed")}
        self.packets: list[int] = []
        self.trains: list[np.ndarray] = []

    def add(self, chip: Any, n_steps: int, timing: str, is_first: bool) -> None:
        """Simulate one sample; its counts and spikes are taken once, its time with each model."""
        found = chip.sim(n_steps, timing_model=timing, processing_threads=1, spike_trace=is_first, perf_trace=True)
        self.rows[timing] += found["perf_trace"]["sim_time"]
        if not is_first:
            return
        for key in PER_STEP:
            self.rows[key] += found["perf_trace"][key]
        index = {name: i for i, name in enumerate(self.names)}
        train = [
            (len(self.packets), step, index[who.group_name], who.neuron_offset)
            for step, fired in enumerate(found["spike_trace"])
            for who in fired
        ]
        self.trains.append(np.array(train, np.int64).reshape(-1, 4))
        self.packets.append(found["packets_sent"])

    def save(self, path: str) -> None:
        """Write everything into one file."""
        arrays = {key: np.array(values, np.float64) for key, values in self.rows.items()}
        trains = np.concatenate(self.trains) if self.trains else np.zeros((0, 4), np.int64)
        np.savez(path, **arrays, packets=np.array(self.packets), trains=trains, names=self.names)


def run_described(path: str, architecture_path: str, result: str) -> None:
    """Build a described network and run its samples, each from rest."""
    described = np.load(path)
    header = json.loads(str(described["header"]))
    architecture = sanafe.load_arch(architecture_path)
    network = build(described, header, architecture)
    run = Run([group["name"] for group in header["groups"]])
    inputs = [group["name"] for group in header["groups"] if group["input"]]
    for timing in ("simple", "detailed"):
        chip = sanafe.SpikingChip(architecture)
        chip.load(network)
        for sample in range(header["n_samples"]):
            if sample:
                chip.reset()
            for name in inputs:
                trains = described[f"spikes {name}"][sample].T.tolist()
                for neuron, train in zip(chip.mapped_neuron_groups[name], trains, strict=True):
                    neuron.set_attributes(model_attributes={"spikes": [int(fired) for fired in train]})
            run.add(chip, header["n_steps"], timing, timing == "simple")
        del chip
    run.save(result)


def run_file(path: str, architecture_path: str, n_steps: str, result: str) -> None:
    """Run a network as SANA-FE itself reads it."""
    architecture = sanafe.load_arch(architecture_path)
    network = sanafe.load_net(path, architecture, use_netlist_format=path.endswith(".net"))
    for group in network.groups.values():
        for neuron in group:
            neuron.set_attributes(log_spikes=True)
    run = Run(list(network.groups))
    chip = sanafe.SpikingChip(architecture)
    chip.load(network)
    run.add(chip, int(n_steps), "simple", True)
    run.save(result)


if __name__ == "__main__":
    {"yaml": read_yaml, "run": run_described, "file": run_file}[sys.argv[1]](*sys.argv[2:])
