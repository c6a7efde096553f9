"""Model files to damage, with checksums that are right again: what a hostile author would send."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fuzz_mutations import Random, changed_array, changed_document, damaged
from neurosim.arrayfile import DIGEST_LENGTH, TRAILER, pack_arrays, unpack_arrays
from neurosim.chip import load_chip
from neurosim.compile_network import compile as compile_network
from neurosim.errors import CapacityError
from neurosim.events import events_from_dense
from neurosim.modelfile import Model, load_model, pack_model
from neurosim.network import LIF, Conv, Dense, Input, Network, OneToOne, Probe, Sparse
from neurosim.neurons import ATRLIF, Group, LIFReset, SigmaDelta
from neurosim.npzbytes import write_members

N_STEPS = 4
MOST_NEURONS = 1 << 16  # of a model that is run
MOST_SYNAPSES = 1 << 20
MOST_CORES = 1 << 12


def model_seeds() -> list[bytes]:
    """Return small models with every form of connection and several of neuron, learned or not, on three chips."""
    rng = np.random.default_rng(7)
    groups: list[Group] = [
        Input("pixels", 12),
        LIF("hidden", 6, du=4095, dv=[1, 2, 3, 4, 5, 6], vth=30, bias_mant=[-40, 0, 1, 40, 9, 3], bias_exp=1),
        LIFReset("reset", 6, du=4095, vth=30, reset_interval=3),
        ATRLIF("atrlif", 6, delta_i=4095, theta_0=30, theta_step=3),
        SigmaDelta("sums", 4, vth=3, bias=2),
    ]
    kernel = rng.integers(-64, 64, (2, 2, 2, 1)) * 2
    conv = Conv("pixels", "maps", kernel, (4, 3, 1), plastic=True)
    groups.append(LIF("maps", conv.shape[0], du=4095, vth=20))
    links = [
        Dense("pixels", "hidden", rng.integers(-100, 100, (6, 12)) * 2, plastic=True),
        Sparse("hidden", "reset", (6, 6), [0, 3, 5], [1, 1, 2], [200, 100, -50], delays=[0, 2, 1]),
        OneToOne("hidden", "atrlif", 6, rng.integers(-100, 200, 6)),
        Dense("atrlif", "sums", rng.integers(-100, 100, (4, 6)) * 2, weight_exp=1, delays=rng.integers(0, 3, (4, 6))),
        conv,
    ]
    network = Network(groups, links, [Probe("hidden"), Probe("sums", "sigma"), Probe("maps")])
    small = Network(groups[:2], links[:1], [Probe("hidden", "v")], dt=5e-4, name="small")
    about = {
        "task": "digits",
        "n_steps": 8,
        "n_steps_input": 6,
        "config": {"network": {"hidden": [6]}},
        "readout": "sums",
    }
    return [
        pack_model(Model(network, load_chip("unlimited"), {"group/hidden": 63.5}, about)),
        pack_model(Model(small, load_chip("loihi1"), {}, {})),
        pack_model(Model(small, load_chip("loihi2"), {}, {"seed": 2**63 - 1}, arithmetic="lava-0.10")),
    ]


def checkpoint_seeds() -> list[bytes]:
    """Return what a checkpoint looks like."""
    arrays = {
        "weights": np.arange(-6, 6, dtype=np.int16).reshape(3, 4),
        "key": np.array(2**64 - 1, np.uint64),
        "f": np.ones(3),
    }
    history = [{"generation": i, "fitness": -0.5 * i} for i in range(5)]
    return [pack_arrays({"kind": "checkpoint", "generation": 7, "history": history, "config": {"seed": 1}}, arrays)]


def damaged_container(content: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Damage a file as it is, its bytes under a right checksum, its header, or its arrays."""
    chance = random.random()
    if chance < 0.25:
        return damaged(content, others, random)
    if chance < 0.4:
        return signed(damaged(content[:-DIGEST_LENGTH], [other[:-DIGEST_LENGTH] for other in others], random))
    header, arrays = unpack_arrays(content)
    document: Any = {"format": "neurosim", "format_version": 1, "content": header}
    if chance < 0.8:
        document = changed_document(document, random)
    if chance > 0.75:
        arrays = _changed_arrays(arrays, random)
    text = json.dumps(document).encode("ascii")
    if random.random() < 0.1:
        text = damaged(text, [], random)
    members = {"header": np.frombuffer(text, np.uint8), **dict(sorted(arrays.items()))}
    return signed(write_members(members, TRAILER, DIGEST_LENGTH))


def signed(body: bytes) -> bytes:
    """Return bytes with their checksum."""
    if not body.endswith(TRAILER):
        body += TRAILER
    return body + hashlib.sha256(body).hexdigest().encode()


def _changed_arrays(arrays: dict[str, Any], random: Random) -> dict[str, Any]:
    changed = dict(arrays)
    names = sorted(arrays)
    name, other = (names[int(random.integers(len(names)))] for _ in range(2))
    action = int(random.integers(8))
    if action == 0:
        del changed[name]
    elif action == 1:
        changed[name], changed[other] = changed[other], changed[name]
    elif action == 2:
        changed[f"{name}x"] = changed.pop(name)
    else:
        changed[name] = changed_array(arrays[name], random)
    return changed


def read_model_file(path: Path) -> Any:
    """Load a model and run it for a few steps, unless it is large."""
    model = load_model(path)
    return [run_model(model), model.scales, model.metadata, model.version, model.arithmetic, model.chip]


def run_model(model: Model) -> Any:
    """Return what a model's network does, and what it is."""
    return [run_network(model.network, model.chip, model.arithmetic), model.readout]


def run_network(network: Network, chip: Any, arithmetic: str = "lava-0.10") -> Any:
    """Compile a network of chip integers and run it, unless it is large; return the spikes and states."""
    from neurosim.simulator import SimulatorBackend

    n_synapses = 0
    for link in network.connections:
        area = link.output_shape[0] * link.output_shape[1] if isinstance(link, Conv) else 1
        n_synapses += area * np.size(link.data if isinstance(link, Sparse) else link.weights)
    cores = 1 if isinstance(chip, str) else max(chip.n_cores, chip.n_tiles)
    if network.n_neurons > MOST_NEURONS or n_synapses > MOST_SYNAPSES or cores > MOST_CORES:
        return "large"
    try:
        program = compile_network(network, chip, arithmetic)
    except CapacityError as error:
        return str(error)  # the file is right, the chip is too small
    dense = np.arange(N_STEPS * network.n_inputs).reshape(1, N_STEPS, network.n_inputs) % 3 == 0
    with SimulatorBackend().open(program, threads=1) as runner:
        result = runner.run(events_from_dense(dense))
    return [program.fingerprint, {name: tuple(train) for name, train in result.spikes.items()}, dict(result.states)]
