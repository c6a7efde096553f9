"""Run a described network on plain Lava processes: a script for an interpreter that has lava-nc, not part of neurosim.

usage: peer_lava.py DESCRIPTION.npz RESULT.npz [--spikes]
"""

from __future__ import annotations

import json
import logging
import sys
from time import perf_counter
from typing import Any

import numpy as np
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.dense.process import Dense
from lava.proc.io.sink import RingBuffer as Sink
from lava.proc.io.source import RingBuffer as Source
from lava.proc.lif.process import LIF
from lava.proc.sparse.process import Sparse
from scipy.sparse import csr_matrix


def build(described: Any, header: dict[str, Any], with_spikes: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Make and connect the processes; return those of the neurons, and sinks of their spikes."""
    outputs, neurons, sinks = {}, {}, {}
    n_steps = header["n_steps"]
    for group in header["groups"]:
        name, n = group["name"], group["n"]
        if group["input"]:
            spikes = np.zeros((n, n_steps), np.int64)
            start, neuron = described["start"], described["neuron"]
            spikes[neuron, np.repeat(np.arange(n_steps), np.diff(start))] = 1
            outputs[name] = Source(data=spikes).s_out
            continue
        lif = LIF(
            shape=(n,),
            du=group["du"],
            dv=group["dv"],
            vth=group["vth"],
            bias_mant=described[f"bias {name}"],
            bias_exp=0,
        )
        neurons[name], outputs[name] = lif, lif.s_out
        if with_spikes:
            sinks[name] = Sink(shape=(n,), buffer=n_steps)
            lif.s_out.connect(sinks[name].a_in)
    for i, connection in enumerate(header["connections"]):
        n_post, n_pre = connection["shape"]
        if f"weights {i}" in described:
            synapses = Dense(weights=described[f"weights {i}"].astype(np.int64), num_weight_bits=8)
        else:
            parts = (described[f"data {i}"].astype(np.int64), (described[f"row {i}"], described[f"col {i}"]))
            synapses = Sparse(weights=csr_matrix(parts, shape=(n_post, n_pre)), num_weight_bits=8)
        outputs[connection["source"]].connect(synapses.s_in)
        synapses.a_out.connect(neurons[connection["target"]].a_in)
    return neurons, sinks


def main(description: str, result: str, with_spikes: bool) -> None:
    """Run one step, which starts everything, then time the others; write seconds, states and spikes."""
    described = np.load(description)
    header = json.loads(str(described["header"]))
    neurons, sinks = build(described, header, with_spikes)
    first = next(iter(neurons.values()))
    config = Loihi2SimCfg(select_tag="fixed_pt", exception_proc_model_map={})
    first._log_config.level = logging.ERROR
    first.run(condition=RunSteps(num_steps=1), run_cfg=config)
    start = perf_counter()
    first.run(condition=RunSteps(num_steps=header["n_steps"] - 1), run_cfg=config)
    found = {"seconds": np.array(perf_counter() - start)}
    for name, lif in neurons.items():
        found[f"u {name}"], found[f"v {name}"] = lif.u.get(), lif.v.get()
    for name, sink in sinks.items():
        found[f"spikes {name}"] = sink.data.get().astype(np.bool_)
    first.stop()
    np.savez(result, **found)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], "--spikes" in sys.argv[3:])
