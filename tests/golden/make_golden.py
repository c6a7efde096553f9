"""Write the stored runs: small networks, their input, and what the reference backend made of them.

Run it only when the arithmetic or the rule is changed on purpose, and say so in the changelog:
``PYTHONPATH=.:tests python tests/golden/make_golden.py``. The files hold every number that is needed to repeat the run, so
that tests read them without any random generator.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from random_networks import learning_case, random_events, random_network

from neurosim.compile_network import compile
from neurosim.events import Events, events_from_dense
from neurosim.learning.generation import Outcome, Step
from neurosim.learning.opening import open_learner
from neurosim.learnplan import LearnPlan, Scales, initial_weights, make_plan
from neurosim.network import LIF, Dense, Input, Network, Probe, Sparse
from neurosim.program import Program
from neurosim.simulator import ReferenceBackend, SimulatorBackend
from neurosim.version import VERSION

FOLDER = Path(__file__).parent
BACKENDS = {"simulator": SimulatorBackend, "reference": ReferenceBackend}
KEY = 2718281828459045235
RULES = {"response-trace-2": ("response", "trace", 2), "scalar-random-1": ("scalar", "random", 1)}


def plain(value: object) -> Any:
    """Return arrays as lists, for JSON."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, (tuple, list)):
        return [plain(part) for part in value]
    return int(value) if isinstance(value, np.integer) else value


def describe(network: Network) -> dict[str, Any]:
    """Return a network as keyword arguments of its parts."""
    fields = {
        Input: ("name", "n"),
        LIF: ("name", "n", "du", "dv", "vth", "bias_mant", "bias_exp"),
        Dense: ("source", "target", "weights", "weight_exp", "num_weight_bits", "sign_mode", "plastic"),
        Sparse: ("source", "target", "shape", "row", "col", "data", "weight_exp", "num_weight_bits", "sign_mode"),
    }
    return {
        kind: [[type(x).__name__, {f: plain(getattr(x, f)) for f in fields[type(x)]}] for x in parts]
        for kind, parts in (("groups", network.groups), ("connections", network.connections))
    } | {"probes": [[probe.group, probe.what] for probe in network.probes]}


def rebuild(described: dict[str, Any]) -> Network:
    """Return the network of `describe`."""
    kinds = {"Input": Input, "LIF": LIF, "Dense": Dense, "Sparse": Sparse}
    groups, connections = (
        [kinds[kind](**arguments) for kind, arguments in described[part]] for part in ("groups", "connections")
    )
    return Network(groups, connections, [Probe(*probe) for probe in described["probes"]])


def read_events(stored: dict[str, Any]) -> Events:
    return events_from_dense(np.array(stored["spikes"], bool).reshape(stored["shape"]))


def store_events(events: Events) -> dict[str, Any]:
    dense = events.to_dense()
    return {"shape": list(dense.shape), "spikes": dense.ravel().astype(int).tolist()}


def run_plain(stored: dict[str, Any], backend: str) -> dict[str, Any]:
    """Run a stored network on its stored input."""
    with BACKENDS[backend]().open(compile(rebuild(stored["network"]), "loihi1")) as runner:
        result = runner.run(read_events(stored["events"]))
    return {
        "spikes": {name: plain(list(train[:3])) for name, train in result.spikes.items()},
        "states": {"/".join(key): plain(states) for key, states in result.states.items()},
        "totals": {name: n for name, n in result.counts.totals().items() if n},
        "final": plain(list(result.final[:3])),
    }


def plan_and_scales(program: Program, stored: dict[str, Any]) -> tuple[LearnPlan, Scales]:
    plan = make_plan(program, "out", **stored["rule"])
    group, step_shift, *shifts = stored["scales"]
    return plan, Scales(np.array(group), np.array(step_shift), *shifts)


def run_learning(stored: dict[str, Any], backend: str) -> dict[str, Any]:
    """Evaluate and update once, then evaluate with the new weights."""
    program = compile(rebuild(stored["network"]), "unlimited")
    plan, scales = plan_and_scales(program, stored)
    ids, labels = np.array(stored["ids"]), np.array(stored["labels"])
    response, full = np.array(stored["response"], np.int32), initial_weights(program, plan)
    learner = open_learner(backend, program, plan, read_events(stored["events"]), labels, 1)
    first = learner.evaluate(ids, response, scales, KEY)
    counts, n_saturated = learner.update(full, first.votes, Step(5, scales.step_shift, KEY + 1))
    second = learner.evaluate(ids, response, scales, KEY + 2)
    learner.close()
    return {
        "first": dict(zip(Outcome._fields, plain(first), strict=True)),
        "weights": plain(full),
        "n_saturated": n_saturated,
        "update_counts": plain(counts),
        "second_votes": plain(second.votes),
    }


def made_by(how: str) -> dict[str, str]:
    return {"made_by": f"neurosim {VERSION}, backend 'reference', tests/golden/make_golden.py", "how": how}


def write(name: str, content: dict[str, Any]) -> None:
    (FOLDER / name).write_text(json.dumps(content, separators=(",", ":")) + "\n")


def main() -> None:
    """Write all files anew."""
    network = random_network(123, n_inputs=2, n_groups=3, largest=6)
    stored = {
        "network": describe(network),
        "events": store_events(random_events(123, 2, 10, network.n_inputs)),
    }
    write(
        "run.json",
        made_by("random network and spikes, generator seed 123") | stored | {"result": run_plain(stored, "reference")},
    )
    for name, rule in RULES.items():
        case = learning_case("recurrent", *rule, seed=46)
        form, factor, rank = rule
        stored = {
            "network": describe(case.program.network),
            "events": store_events(case.events),
            "rule": {
                "form": form, "factor": factor, "rank": rank, "n_pairs": case.plan.n_pairs,
                "n_steps": case.plan.n_steps, "error_bits": case.plan.error_bits,
                "residual_bits": case.plan.residual_bits,
            },
            "scales": plain(case.scales),
            "ids": plain(case.ids),
            "labels": plain(case.labels),
            "response": plain(case.response),
        }  # fmt: skip
        how = f"layout 'recurrent', rule {name}, generator seed 46, keys {KEY} and the two after it"
        write(f"learn-{name}.json", made_by(how) | stored | {"result": run_learning(stored, "reference")})


if __name__ == "__main__":
    main()
