"""The arithmetic once more, in plain Python integers: from docs/arithmetic.md, sharing no code with neurosim."""

from __future__ import annotations

from typing import Any

import numpy as np

M = 1 << 23


def i32(x: int) -> int:
    """Wrap into 32 bits."""
    return (x + (1 << 31)) % (1 << 32) - (1 << 31)


def rz(x: int, bits: int) -> int:
    """Divide by 2**bits, rounding toward zero."""
    return x >> bits if x >= 0 else -(-x >> bits)


def stored_weight(w: int, bits: int, mode: str) -> int:
    """What the chip's register keeps of a weight."""
    cut = 8 - bits + (mode == "mixed")
    if mode == "inhibitory":
        return -((-w >> cut) << cut)
    return (w >> cut) << cut


def step_neuron(u: int, v: int, a: int, du: int, dv: int, vth: int, bias: int) -> tuple[int, int, bool]:
    """One LIF update."""
    u = i32(rz(u * (4095 - du), 12) + i32(a << 6))
    if u > M:
        u -= 2 * M
    elif u <= -M:
        u += 2 * M
    v = rz(v * (4096 - dv), 12) + u + bias
    v = max(-M + 1, min(M - 1, v))
    if v > vth << 6:
        return u, 0, True
    return u, v, False


def synapses(connection: Any) -> dict[int, list[tuple[int, int]]]:
    """Return the stored synapses of a connection: pre -> [(post, weight)]."""
    if type(connection).__name__ == "Dense":
        weights = np.asarray(connection.weights).tolist()
        entries = [(i, j, w) for i, row in enumerate(weights) for j, w in enumerate(row)]
    else:
        entries = list(
            zip(*(np.asarray(x).tolist() for x in (connection.row, connection.col, connection.data)), strict=True)
        )
    values = [w for _, _, w in entries]
    mode = {None: "auto", "null": "excitatory"}.get(connection.sign_mode, connection.sign_mode)
    if mode == "auto":
        mode = "excitatory" if min(values, default=0) >= 0 else "inhibitory" if max(values) <= 0 else "mixed"
    found: dict[int, list[tuple[int, int]]] = {}
    for i, j, w in entries:
        found.setdefault(j, []).append((i, stored_weight(w, connection.num_weight_bits, mode)))
    return found


def plain_run(network: Any, spikes_in: list[list[list[int]]], n_steps: int) -> dict[tuple[str, str], Any]:
    """Run every sample from rest; return spikes as sorted (sample, step, neuron) and u, v as nested lists."""
    lifs = [g for g in network.groups if type(g).__name__ == "LIF"]
    inputs = [g for g in network.groups if type(g).__name__ == "Input"]
    tables = [synapses(c) for c in network.connections]
    result: dict[tuple[str, str], Any] = {(g.name, "spikes"): [] for g in network.groups}
    result |= {(g.name, what): [] for g in lifs for what in "uv"}
    for sample, given in enumerate(spikes_in):
        state = {g.name: [(0, 0)] * g.n for g in lifs}
        fired: dict[str, list[int]] = {g.name: [] for g in network.groups}
        for what in "uv":
            for g in lifs:
                result[g.name, what].append([])
        for t in range(n_steps):
            arriving = {g.name: [0] * g.n for g in lifs}
            for connection, table in zip(network.connections, tables, strict=True):
                total = [0] * len(arriving[connection.target])
                for j in fired[connection.source]:
                    for i, w in table.get(j, ()):
                        total[i] += w
                e = connection.weight_exp
                for i, acc in enumerate(total):
                    scaled = acc << e if e > 0 else acc >> -e
                    arriving[connection.target][i] = i32(arriving[connection.target][i] + i32(scaled))
            first = 0
            for g in inputs:
                line = given[t][first : first + g.n] if t < len(given) else []
                fired[g.name] = [k for k, spike in enumerate(line) if spike]
                first += g.n
            for g in lifs:
                mantissa = np.broadcast_to(np.asarray(g.bias_mant), g.n).tolist()
                exponent = np.broadcast_to(np.asarray(g.bias_exp), g.n).tolist()
                fired[g.name] = []
                for i in range(g.n):
                    u, v = state[g.name][i]
                    u, v, spike = step_neuron(u, v, arriving[g.name][i], g.du, g.dv, g.vth, mantissa[i] << exponent[i])
                    state[g.name][i] = (u, v)
                    if spike:
                        fired[g.name].append(i)
                result[g.name, "u"][-1].append([u for u, _ in state[g.name]])
                result[g.name, "v"][-1].append([v for _, v in state[g.name]])
            for name, neurons in fired.items():
                result[name, "spikes"] += [(sample, t, i) for i in neurons]
    return result
