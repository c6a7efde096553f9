"""Metrics like those of a real training run on the digits, made from a seed."""

from typing import Any

import numpy as np

from neurosim.counters import COLUMN, N_COUNTERS, OpCounts
from neurosim.energy import energy, load_energy_table

ROWS = ("pixels", "hidden", "readout", "pixels->hidden", "hidden->readout")
INFERENCE = {
    "pixels": {"spikes": 112_000, "messages": 112_000, "hops_east": 56_000, "hops_north": 112_000},
    "hidden": {
        "neuron_updates_active": 1_590_000,
        "neuron_updates_idle": 69_000,
        "spikes": 91_000,
        "messages_local": 91_000,
    },
    "readout": {"neuron_updates_active": 58_000, "neuron_updates_idle": 6_800},
    "pixels->hidden": {"synaptic_operations": 28_700_000},
    "hidden->readout": {"synaptic_operations": 910_000},
}
LEARNING = {
    "hidden": {"noise_draws": 40_000_000, "perturbations": 39_000_000, "reward_broadcasts": 9_000},
    "pixels->hidden": {"votes": 16_000_000, "weight_updates": 220_000},
    "hidden->readout": {"votes": 2_600_000, "weight_updates": 31_000},
}


def op_counts(table: dict[str, dict[str, int]], n_samples: int, n_steps: int) -> OpCounts:
    matrix = np.zeros((len(ROWS), N_COUNTERS), np.int64)
    for row, found in table.items():
        for name, count in found.items():
            matrix[ROWS.index(row), COLUMN[name]] = count
    return OpCounts(ROWS, matrix, n_samples, n_steps)


def counted(counts: OpCounts) -> dict[str, Any]:
    return {"samples": counts.n_samples, "totals": counts.totals(), "by_row": counts.by_row()}


def digit_images(n: int, rng: np.random.Generator) -> list[list[list[int]]]:
    """Blobs on an 8 x 8 grid, 0..16."""
    y, x = np.mgrid[0:8, 0:8]
    images = []
    for _ in range(n):
        centre, radius = rng.uniform(3, 5, 2), rng.uniform(1.5, 3)
        ring = np.exp(-((np.hypot(y - centre[0], x - centre[1]) - radius) ** 2))
        images.append(np.rint(16 * ring).astype(int).tolist())
    return images


def full_metrics() -> dict[str, Any]:
    """Every key that a report reads."""
    rng = np.random.default_rng(11)
    inference = op_counts(INFERENCE, 360, 360 * 18)
    learning = op_counts(INFERENCE, 1437, 1437 * 18 * 64) + op_counts(LEARNING, 0, 0)
    prices = load_energy_table("loihi1-davies2018")
    confusion = np.diag([36] * 10)
    for true, answer, n in ((3, 8, 2), (8, 1, 3), (9, 7, 1), (9, 3, 1), (5, 9, 2), (1, 8, 1), (4, 7, 1)):
        confusion[true, answer] += n
        confusion[true, true] -= n
    n_correct = int(np.trace(confusion))
    history = []
    for i, generation in enumerate(range(10, 1010, 10)):
        level = 0.975 - 0.86 * np.exp(-generation / 120) + rng.normal(0, 0.006)
        history.append({
            "generation": generation, "samples": generation * 512, "train_accuracy": round(float(level), 4),
            "fitness": round(float(-2.2 * np.exp(-generation / 150) - 0.08 + rng.normal(0, 0.01)), 4),
            "test_accuracy": round(float(level - 0.012), 4) if i % 5 == 4 else None,
            "rates": {"hidden": 0.06}, "moved": round(float(0.05 * np.exp(-generation / 400)), 5), "saturated": 0.001,
        })  # fmt: skip
    examples = []
    for i, image in enumerate(digit_images(40, rng)):
        label = i % 10
        examples.append({"image": image, "label": label, "prediction": 8 if i in (13, 31) else label})
    return {
        "neurosim": "0.1.0", "task": "digits", "seed": 1, "backend": "simulator", "threads": 2, "chip": "loihi1",
        "energy_table": "loihi1-davies2018",
        "network": {
            "name": "digits", "n_steps": 18,
            "groups": [
                {"name": "pixels", "kind": "input", "n": 64},
                {"name": "hidden", "kind": "lif", "n": 256, "du": 4095, "dv": 128, "vth": 220},
                {"name": "readout", "kind": "lif", "n": 10, "du": 4095, "dv": 0, "vth": 131071},
            ],
            "connections": [
                {"name": "pixels->hidden", "n_post": 256, "n_pre": 64, "bits": 8, "exp": 0, "plastic": True},
                {"name": "hidden->readout", "n_post": 10, "n_pre": 256, "bits": 8, "exp": 0, "plastic": True},
            ],
        },
        "data": {"name": "digits", "n_train": 1437, "n_test": 360, "source": "UCI Machine Learning Repository",
                 "licence": "CC BY 4.0", "attribution": "E. Alpaydin and C. Kaynak (1998)."},
        "training": {"rule": {"name": "eggroll", "rank": 1, "population": 64, "sigma_shift": 4}, "generations": 1000,
                     "samples": 512_000, "member_evaluations": 32_768_000, "seconds": 93.4, "history": history},
        "test": {"accuracy": n_correct / 360, "n": 360, "n_correct": n_correct, "confusion": confusion.tolist(),
                 "classes": [str(i) for i in range(10)]},
        "counts": {"per_inference": counted(inference), "per_learning_step": counted(learning)},
        "energy": {"per_inference": energy(inference, prices, 360).to_dict(),
                   "per_learning_step": energy(learning, prices, 1437).to_dict()},
        "utilisation": [core(0, ["hidden"], 256, 64), core(1, ["readout"], 10, 256)],
        "quantization": [
            {"object": "connection/pixels->hidden", "quantity": "weights", "scale": 63.5,
             "largest_error": 0.0079, "note": "8 bits, mixed"},
            {"object": "group/hidden", "quantity": "dv", "wanted": 128.4, "found": 128, "note": "rounded to nearest"},
        ],
        "raster": raster(rng), "examples": examples,
        "weight_images": {"connection": "pixels->hidden", "images": rng.integers(-100, 100, (24, 8, 8)).tolist()},
        "next_steps": ["neurosim run runs/digits-001", "neurosim report runs/digits-001 --csv"],
    }  # fmt: skip


def core(number: int, groups: list[str], compartments: int, axons: int) -> dict[str, Any]:
    memory = compartments * axons * 12
    return {"core": number, "tile": [0, number // 4], "groups": groups, "resources": {
        "compartments": {"used": compartments, "limit": 1024, "share": compartments / 1024},
        "synapse_memory_bits": {"used": memory, "limit": 1 << 20, "share": memory / (1 << 20)},
        "axons_in": {"used": axons, "limit": 4096, "share": axons / 4096},
        "axons_out": {"used": compartments, "limit": None, "share": None},
    }}  # fmt: skip


def raster(rng: np.random.Generator) -> dict[str, Any]:
    groups = []
    for name, n, rate, first in (("pixels", 64, 0.27, 0), ("hidden", 256, 0.06, 1), ("readout", 10, 0.0, 2)):
        active = rng.random((18, n)) < rate * 2 * rng.random(n)
        active[:first] = False
        step, neuron = np.nonzero(active)
        groups.append({"name": name, "n": n, "step": step.tolist(), "neuron": neuron.tolist()})
    drift = rng.normal(0, 400, (18, 10)) + np.where(np.arange(10) == 3, 900, -150)
    drift[:2] = 0
    v = np.cumsum(drift, axis=0).astype(int).T.tolist()
    return {
        "sample": 4,
        "label": 3,
        "prediction": 3,
        "n_steps": 18,
        "groups": groups,
        "readout": {"name": "readout", "v": v},
    }


def direct_metrics(n_steps: int = 8, learn_width: str = "step") -> dict[str, Any]:
    """Metrics of training by gradients, with two hidden layers whose surrogates learned."""
    from dataclasses import asdict

    from neurosim.directconfig import DirectConfig

    rng = np.random.default_rng(5)
    n_widths = {"step": n_steps, "layer": 1, "fixed": 1}[learn_width]
    history = []
    for generation in range(20, 1020, 20):
        spread = 0.0 if learn_width == "fixed" else 1e-3 * generation / n_widths
        widths = {
            name: [1 + spread * (t + i) for t in range(n_widths)] for i, name in enumerate(("hidden1", "hidden2"))
        }
        history.append({
            "generation": generation, "samples": 64 * generation, "train_accuracy": 1 - 0.8 * float(np.exp(-generation / 100)),
            "test_accuracy": 0.9 if generation % 100 == 0 else None, "loss": 3.2 * float(np.exp(-generation / 200)), "balance": 0.2,
            "rates": {"hidden1": 0.1, "hidden2": 0.2}, "widths": widths,
        })  # fmt: skip
    edges = np.linspace(-4, 4, 161)
    potentials = {
        when: {name: {"edges": edges.tolist(), "counts": np.histogram(np.clip(rng.normal(0, s, 20_000), -4, 4), edges)[0].tolist()}
               for name, s in (("hidden1", spread), ("hidden2", 2 * spread))}
        for when, spread in (("before", 0.5), ("after", 1.0))
    }  # fmt: skip
    silent = potentials["before"]["hidden2"]["counts"]
    silent[80] += 50_000  # neurons that nothing reached
    training = {
        "method": "direct", "direct": asdict(DirectConfig(learn_width=learn_width, balance=0.1)), "generations": 1000, "samples": 64_000,
        "seconds": 12.5, "history": history, "widths": history[-1]["widths"], "potentials": potentials,
        "neurons": [{"group": "hidden1", "quantity": "tau_mem", "unit": "s", "before": 0.008, "after": 0.011}],
        "agreement": {"chip": 1.0, "floats": 0.9972, "float_accuracy": 0.9861},
    }  # fmt: skip
    metrics = full_metrics()
    metrics["counts"]["per_learning_step"] = metrics["energy"]["per_learning_step"] = None
    return metrics | {"training": training}
