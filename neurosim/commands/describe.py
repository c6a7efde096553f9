"""Programs and results in the form of metrics, so that the tables of `neurosim.report` can show them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neurosim.program import Program


def describe_program(program: Program) -> dict[str, Any]:
    """Return the parts "network", "chip" and "utilisation" of the metrics."""
    from neurosim.network import LIF, Dense, Sparse

    groups: list[dict[str, Any]] = []
    for group in program.network.ordered_groups:
        described = {"name": group.name, "kind": "input", "n": group.n}
        if isinstance(group, LIF):
            described |= {"kind": "lif", "du": group.du, "dv": group.dv, "vth": group.vth}
        groups.append(described)
    connections: list[dict[str, Any]] = []
    for c in program.network.connections:
        assert isinstance(c, (Dense, Sparse))
        n_post, n_pre = c.shape
        connections.append({"name": c.name, "n_post": n_post, "n_pre": n_pre, "bits": c.num_weight_bits,
                            "exp": c.weight_exp, "plastic": c.plastic})  # fmt: skip
    cores = []
    for use in program.mapping.cores:
        resources = {}
        for name, used in use.used.items():
            limit = use.limit[name]
            resources[name] = {"used": used, "limit": limit, "share": used / limit if limit else None}
        cores.append({"core": use.core, "tile": list(use.tile), "groups": list(use.groups), "resources": resources})
    network = {"name": program.network.name, "groups": groups, "connections": connections}
    return {"network": network, "chip": program.chip.name, "utilisation": cores}
