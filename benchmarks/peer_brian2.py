"""Build a described network as a Brian2 C++ program: a script for an interpreter that has brian2, not part of neurosim.

usage: peer_brian2.py DESCRIPTION.npz FOLDER

Float64, one thread, Euler steps of one step each, so that decays are the described ones; the closest model that Brian2 has.
The program lies in FOLDER/main and writes what its loop over steps took to FOLDER/results.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import brian2 as b2
import numpy as np

MODEL = """
du/dt = -u * a / ms : 1
dv/dt = (-v * b + u + bias) / ms : 1
bias : 1
"""


def make(described: Any, header: dict[str, Any]) -> list[Any]:
    """Return all objects of the network."""
    n_steps, objects, groups = header["n_steps"], [], {}
    for group in header["groups"]:
        name, n = group["name"], group["n"]
        if group["input"]:
            times = np.repeat(np.arange(n_steps), np.diff(described["start"])) * b2.ms
            groups[name] = b2.SpikeGeneratorGroup(n, described["neuron"], times, sorted=True)
        else:
            settings = {"a": (group["du"] + 1) / 4096, "b": group["dv"] / 4096, "vth": float(group["vth"] << 6)}
            groups[name] = b2.NeuronGroup(
                n, MODEL, threshold="v > vth", reset="v = 0", method="euler", namespace=settings
            )
            groups[name].bias = described[f"bias {name}"].astype(float)
        objects.append(groups[name])
    for i, connection in enumerate(header["connections"]):
        if f"weights {i}" in described:
            weights = described[f"weights {i}"].T  # Brian2 counts by presynaptic neuron
            if not weights.any():
                continue
            pre, post = (part.ravel() for part in np.indices(weights.shape))
            data = weights.ravel()
        else:
            pre, post, data = (described[f"{part} {i}"] for part in ("col", "row", "data"))
        synapses = b2.Synapses(
            groups[connection["source"]], groups[connection["target"]], "w : 1", on_pre="u_post += w"
        )
        synapses.connect(i=pre, j=post)
        synapses.w = data.astype(float) * 64
        objects.append(synapses)
    return objects


def main(description: str, folder: str) -> None:
    """Write and compile the program, and run it once."""
    b2.set_device("cpp_standalone", directory=folder, build_on_run=False)
    b2.defaultclock.dt = 1 * b2.ms
    described = np.load(description)
    header = json.loads(str(described["header"]))
    objects = make(described, header)
    counters = [b2.SpikeMonitor(part, record=False) for part in objects if isinstance(part, b2.NeuronGroup)]
    network = b2.Network(*objects, *counters)
    network.run(header["n_steps"] * b2.ms)
    b2.device.build(directory=folder, compile=True, run=True)
    print(json.dumps({"spikes": int(sum(counter.num_spikes for counter in counters))}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
