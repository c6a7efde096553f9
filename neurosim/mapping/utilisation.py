"""How full the cores of a mapping are, and what is scarcest."""

from __future__ import annotations

from typing import Any, NamedTuple

from neurosim.mapping.layout import Mapping


class Bottleneck(NamedTuple):
    """The resource of a core of which the largest share is used."""

    resource: str
    core: int
    groups: tuple[str, ...]
    used: int
    limit: int

    @property
    def share(self) -> float:
        """Part of the limit that is used, up to 1."""
        return self.used / self.limit


#: Counts that tables and pictures of cores leave out, because they say more about the groups than about the cores.
CONFIGURATIONS = ("compartment_configs", "threshold_configs", "synapse_formats", "groups")


def utilisation_rows(mapping: Mapping, configurations: bool = False) -> list[dict[str, Any]]:
    """Return one row per core and resource: core, site, tile, groups, resource, used, limit, share (None without limit).

    With `configurations`, those that the chip limits are listed as well.
    """
    rows: list[dict[str, Any]] = []
    for use in mapping.cores:
        for resource, used in use.used.items():
            if resource in CONFIGURATIONS and not configurations:
                continue
            limit = use.limit[resource]
            share = None if limit is None else used / limit
            row = {"core": use.core, "site": use.site, "tile": use.tile, "groups": use.groups, "resource": resource}
            rows.append(row | {"used": used, "limit": limit, "share": share})
    return rows


def bottleneck(mapping: Mapping) -> Bottleneck | None:
    """Return what is closest to its limit, the first of equals; None where nothing used has a known limit."""
    best: Bottleneck | None = None
    for use in mapping.cores:
        for resource, used in use.used.items():
            limit = use.limit[resource]
            if limit is not None and (best is None or used * best.limit > best.used * limit):
                best = Bottleneck(resource, use.core, use.groups, used, limit)
    return best


def resource_rows(mapping: Mapping) -> list[dict[str, Any]]:
    """Return one row per resource over all cores: total, largest, its core, and the largest and mean share of the limit."""
    rows: list[dict[str, Any]] = []
    for resource in dict.fromkeys(name for use in mapping.cores for name in use.used):
        uses = [use for use in mapping.cores if resource in use.used]
        fullest = max(uses, key=lambda use: use.used[resource])
        limits = [use.limit[resource] for use in uses]
        shares = [use.used[resource] / limit for use, limit in zip(uses, limits, strict=True) if limit is not None]
        row = {"resource": resource, "total": sum(use.used[resource] for use in uses)}
        row |= {"largest": fullest.used[resource], "core": fullest.core, "limit": fullest.limit[resource]}
        known = len(shares) == len(uses)
        rows.append(
            row | {"share": max(shares) if known else None, "mean_share": sum(shares) / len(uses) if known else None}
        )
    return rows
