"""Write a model file as an earlier neurosim writes it, and what its reference backend makes of it.

Run it with the package of that time, never with today's, or the files would prove nothing. From a checkout, for the commit C:
``git archive C neurosim | tar x -C FOLDER; PYTHONPATH=FOLDER python tests/golden/make_models.py C``.
Parts that the version does not have are left out of its network.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from neurosim.chip import load_chip
from neurosim.compile_network import compile
from neurosim.events import Events, events_from_dense
from neurosim.modelfile import Model, save_model
from neurosim.network import LIF, Dense, Input, Network, Probe, Sparse
from neurosim.version import VERSION

FOLDER = Path(__file__).parent
N_STEPS = 12


def pattern(*shape: int, low: int = -256, high: int = 255) -> np.ndarray:
    """Return even integers of a range that follow from their place, whatever the version of numpy."""
    n = int(np.prod(shape))
    values = (np.arange(n, dtype=np.int64) * 2654435761 % 1000003) % (high - low + 1) + low
    return (values // 2 * 2).reshape(shape)


def input_spikes() -> Events:
    """Return two samples for six input lines."""
    dense = pattern(2, N_STEPS, 6, low=0, high=9)
    return events_from_dense(dense < 5)


def lif_network() -> Network:
    """Return what every version has: LIF neurons, dense and sparse connections, a loop."""
    groups = [
        Input("pixels", 6),
        LIF("hidden", 5, du=4095, dv=128, vth=40, bias_mant=[-40, 0, 1, 40, 9], bias_exp=2),
        LIF("größe", 3, du=1024, dv=512, vth=60, bias_mant=3, bias_exp=[0, 2, 1]),
    ]
    connections = [
        Dense("pixels", "hidden", pattern(5, 6), plastic=True),
        Dense("hidden", "größe", pattern(3, 5, low=-200, high=254), weight_exp=1, num_weight_bits=6),
        Sparse("größe", "hidden", (5, 3), [3, 0, 2], [0, 1, 2], [250, 6, -120], weight_exp=-1),
    ]
    return Network(groups, connections, [Probe("hidden"), Probe("größe"), Probe("größe", "v")], dt=5e-4, name="lif")


def models_network() -> Network:
    """Return every neuron model and connection of the versions that have them."""
    from neurosim.connections import Conv, OneToOne
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

    each = [
        LIF("each", 6, du=[4095, 0, 9, 99, 999, 4000], dv=[0, 1, 2, 3, 4, 5], vth=[10, 20, 30, 40, 50, 60]),
        LIFReset("reset", 6, du=4095, vth=30, reset_interval=3, reset_offset=1),
        LIFRefractory("refractory", 6, du=4095, vth=30, refractory_period=2),
        TernaryLIF("ternary", 6, du=4095, vth_hi=50, vth_lo=[-50, -40, -30, -20, -10, 0]),
        MultiSpikeLIF("multispike", 6, du=4095, vth=20, max_spikes=7, signed=False),
        Sigma("sigma", 6),
        Delta("delta", 6, vth=5, cum_error=True, spike_exp=1, state_exp=1),
        SigmaDelta("sigma_delta", 6, vth=7, bias=[1, 2, 3, -4, -5, -6], act_mode="unit"),
        ProdNeuron("product", 6, vth=3, exp=4),
        GradedVec("graded_vec", 6, vth=4),
        RF("rf", 6, 2239, 3081, vth=40),
        RFIzhikevich("rf_izhikevich", 6, 1239, 3081, vth=40, state_exp=2),
        ATRLIF(
            "atrlif", 6, delta_i=4095, delta_v=9, delta_theta=50, delta_r=500, theta_0=40, theta_step=9, bias_mant=5
        ),
    ]
    links: list[Any] = [
        Dense("pixels", group.name, pattern(6, 6) // (i + 1) // 2 * 2, num_message_bits=0, port=group.ports[-1],
              delays=None if i % 3 else pattern(6, 6, low=0, high=3))
        for i, group in enumerate(each)
    ]  # fmt: skip
    links += [
        OneToOne("ternary", "sigma", 6, [2, 4, -6, 8, -10, 12], delays=2, num_message_bits=8),
        Sparse("sigma", "graded_vec", (6, 6), [0, 5], [5, 0], [100, -100], delays=[1, 3], num_message_bits=16),
        Conv("pixels", "maps", pattern(2, 2, 2, 1), (2, 3, 1), padding=(1, 0), num_message_bits=8),
    ]
    groups = [
        Input("pixels", 6),
        *each,
        Sigma("maps", Conv("a", "b", pattern(2, 2, 2, 1), (2, 3, 1), padding=(1, 0)).shape[0]),
    ]
    return Network(groups, links, [Probe(group.name) for group in groups[1:]], name="models")


def learned_network() -> Network:
    """Return a convolution whose weights may be learned."""
    from neurosim.connections import Conv

    conv = Conv(
        "pixels", "maps", pattern(2, 2, 2, 1, low=-60, high=250) // 4 * 4, (2, 3, 1), plastic=True, num_weight_bits=7
    )
    return Network(
        [Input("pixels", 6), LIF("maps", conv.shape[0], du=4095, vth=90)], [conv], [Probe("maps")], name="learned"
    )


def run(network: Network, chip: str, arithmetic: str | None) -> dict[str, Any]:
    """Return what the reference backend makes of a network."""
    from neurosim.simulator import ReferenceBackend

    program = compile(network, chip) if arithmetic is None else compile(network, chip, arithmetic)
    with ReferenceBackend().open(program) as runner:
        result = runner.run(input_spikes())
    return {
        "spikes": {name: [np.asarray(part).tolist() for part in train[:3]] for name, train in result.spikes.items()},
        "states": {"/".join(key): states.tolist() for key, states in result.states.items()},
    }


def main(commit: str) -> None:
    """Write the files of one version."""
    wanted: dict[str, tuple[Any, str, str | None]] = {
        "lif": (lif_network, "loihi1", None),
        "models": (models_network, "unlimited", None),
        "lava-dl": (lif_network, "loihi1", "lava-dl"),
        "learned": (learned_network, "unlimited", None),
    }
    for name, (make, chip, arithmetic) in wanted.items():
        more = {} if arithmetic is None else {"arithmetic": arithmetic}
        try:
            network = make()
            model = Model(network, load_chip(chip), {"group/hidden": 63.5}, {"task": "digits", "seed": 1}, **more)
        except (ImportError, TypeError, ValueError) as error:
            print(f"{commit}: no {name} ({error})")
            continue
        save_model(FOLDER / f"model-{commit}-{name}.npz", model)
        dense = input_spikes().to_dense()
        content = {
            "made_by": f"neurosim {VERSION} of commit {commit}, tests/golden/make_models.py",
            "shape": list(dense.shape),
            "input": dense.ravel().astype(int).tolist(),
        } | run(network, chip, arithmetic)
        (FOLDER / f"model-{commit}-{name}.json").write_text(json.dumps(content, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
