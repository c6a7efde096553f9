"""What a run says about itself: lines for people and tables of plain values, from its metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import sqrt
from typing import Any

from neurosim.tables import Cell
from neurosim.tables import Table as Table
from neurosim.tables import format_cell as format_cell
from neurosim.tables import format_energy as format_energy
from neurosim.tables import format_share as format_share
from neurosim.tables import to_csv as to_csv

Metrics = Mapping[str, Any]

#: What counts and energies are given for: key in the metrics -> words.
UNITS = {"per_inference": "inference", "per_learning_step": "training sample"}

#: What neurons learn by gradients, for people.
NEURON_WORDS = {"v_threshold": "threshold", "tau_mem": "membrane time constant", "tau_syn": "synaptic time constant"}

SHOWN_RESOURCES = 4  # of a core, on a terminal

#: Who keeps state of learning -> words.
OWNERS = {"neuron": "neuron", "synapse": "synapse", "row": "presynaptic neuron"}

#: Name and meaning of each counter, for people.
COUNTER_WORDS: dict[str, tuple[str, str]] = {
    "synaptic_operations": ("synaptic operations", "one per spike and stored synapse"),
    "synaptic_operations_sparse": ("synaptic operations, sparse", "of connections that store single synapses"),
    "synaptic_operations_one_to_one": ("synaptic operations, one to one", "of one-to-one connections"),
    "synaptic_operations_conv": ("synaptic operations, convolution", "of convolutions"),
    "synaptic_operations_graded": ("synaptic operations, graded", "of messages with values"),
    "neuron_updates_active": ("neuron updates, active", "current, voltage or input was not zero"),
    "neuron_updates_idle": ("neuron updates, idle", "everything was zero"),
    "spikes": ("spikes", "input lines included"),
    "input_spikes": ("input spikes", "made outside the chip"),
    "messages": ("messages between cores", "one packet per target core; from outside for inputs"),
    "messages_local": ("messages within a core", "packets to the sender's own core"),
    "input_messages": ("input messages", "packets from outside the chip"),
    "hops_east": ("hops east", "links crossed"),
    "hops_west": ("hops west", "links crossed"),
    "hops_north": ("hops north", "links crossed"),
    "hops_south": ("hops south", "links crossed"),
    "synapse_bits_read": ("synapse memory read", "bits"),
    "barriers": ("barriers", "one per time step"),
    "overflow_accumulator": ("overflows, input sum", "beyond 32 bits"),
    "overflow_u": ("overflows, current", "wrapped at 24 bits"),
    "saturation_v": ("saturations, voltage", "clipped at 23 bits and sign"),
    "noise_draws": ("noise draws", "hashed integers"),
    "perturbations": ("perturbations", "noise values added to a current"),
    "trace_updates": ("trace updates", "counts kept at neurons"),
    "response_updates": ("response updates", "elements of the response matrix"),
    "votes": ("votes", "multiply-adds into the vote matrix"),
    "weight_updates": ("weight updates", "weights written with a new value"),
    "reward_broadcasts": ("reward broadcasts", "scalars sent to all cores of a group"),
}


def counter_name(counter: str) -> str:
    """Return the name of a counter for people."""
    return COUNTER_WORDS.get(counter, (counter.replace("_", " "), ""))[0]


def accuracy_interval(n_correct: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of an accuracy (Wilson 1927, doi 10.1080/01621459.1927.10502953)."""
    z = 1.959964  # 97.5 % point of the normal distribution
    p, z2 = n_correct / n, z * z / n
    middle, half = p + z2 / 2, z * sqrt(p * (1 - p) / n + z2 / (4 * n))
    return max(0.0, (middle - half) / (1 + z2)), min(1.0, (middle + half) / (1 + z2))


def count_per(metrics: Metrics, per: str, counter: str) -> float | None:
    """Return a counter per sample; None where it was not counted."""
    counts = _get(metrics, "counts", per)
    total = _get(counts, "totals", counter)
    samples = _get(counts, "samples")
    return None if total is None or not samples else total / samples


def tested(test: Metrics) -> str:
    """Return what an accuracy is over: samples, or windows of time where each has an answer."""
    return "windows" if test.get("windows") else "samples"


def fault_lines(metrics: Metrics) -> list[str]:
    """Return what a faulty chip cost, and what learning on it won back; nothing where all was healthy."""
    faults = metrics.get("faults")
    if not faults:
        return []
    lines = [
        f"faulty chip        {faults['stuck']:,} of {faults['synapses']:,} stored weights stuck, {faults['dead']:,} of "
        f"{faults['neurons']:,} neurons dead"
    ]
    if faults.get("healthy") is not None:
        text = f"what it cost       {faults['healthy']:.2%} on a healthy chip, {faults['before']:.2%} on the faulty one"
        if faults.get("after") is not None:
            text += f", {faults['after']:.2%} after learning on it"
        lines.append(text)
    if faults.get("won_back") is not None:
        lines.append(f"won back           {faults['won_back']:.0%} of the accuracy that was lost")
    return lines


def summary_lines(metrics: Metrics) -> list[str]:
    """Return the result of a run in a few lines of text."""
    lines = []
    test, training = metrics.get("test") or {}, metrics.get("training") or {}
    if test.get("accuracy") is not None:
        text = f"accuracy           {test['accuracy']:.1%}"
        if test.get("n") and test.get("n_correct") is not None:
            low, high = accuracy_interval(test["n_correct"], test["n"])
            text += f"  ({test['n_correct']} of {test['n']} test {tested(test)}; 95 % interval {low:.1%} to {high:.1%})"
        lines.append(text)
    lines += fault_lines(metrics)
    if test.get("windows"):
        each = ", ".join("-" if one is None else f"{one:.1%}" for one in test["windows"])
        lines.append(f"each window        {each}")
    if test.get("mean_length") is not None:
        lines.append(
            f"episodes           {test['mean_length']:.1f} of {test['max_length']} control periods on average, "
            f"{test['n_won']} of {test['n']} to the end; the shortest {test['shortest']}"
        )
    if training.get("generations") is not None:
        seconds = f" in {training['seconds']:.1f} s" if training.get("seconds") is not None else ""
        samples = f", {training['samples']:,} samples" if training.get("samples") is not None else ""
        way = ", by gradients off the chip" if is_direct(metrics) else ""
        lines.append(f"training           {training['generations']:,} generations{samples}{seconds}{way}")
    if training.get("agreement"):
        same = training["agreement"]
        seen = f"{same['chip']:.2%} as in training, " if same["chip"] is not None else ""
        lines.append(
            f"same answers       {seen}{same['floats']:.2%} as in floats, whose accuracy is {same['float_accuracy']:.1%}"
        )
    for per, words in UNITS.items():
        energy = _get(metrics, "energy", per)
        if energy is not None:
            bound = "at least " if energy.get("unpriced") and energy.get("total_pj") is not None else ""
            lines.append(
                f"energy             {bound}{format_energy(energy['total_pj'])} per {words} ({energy['table']})"
            )
    if metrics.get("backend") and metrics.get("counts") and not any(metrics["counts"].values()):
        lines.append(f"operations         not counted by the backend {metrics['backend']!r}; hence no energy")
    synops = count_per(metrics, "per_inference", "synaptic_operations")
    if synops is not None:
        spikes = count_per(metrics, "per_inference", "spikes")
        lines.append(
            f"work               {format_cell(synops)} synaptic operations, {format_cell(spikes)} spikes per inference"
        )
    if metrics.get("utilisation"):
        fullest = _fullest(metrics)
        lines.append(f"cores              {len(metrics['utilisation'])} of chip {metrics.get('chip', '?')}{fullest}")
    lines += chip_cost_lines(metrics)
    lost = sum(
        _get(metrics, "counts", "per_inference", "totals", name) or 0
        for name in ("overflow_accumulator", "overflow_u", "saturation_v")
    )
    if lost:
        lines.append(f"overflows          {lost:,} in the test run; scale the weights down or raise the thresholds")
    return lines


def is_direct(metrics: Metrics) -> bool:
    """Whether a run was trained by gradients, off the chip."""
    return bool(_get(metrics, "training", "method") == "direct")


def network_table(metrics: Metrics) -> Table:
    """Groups of the network, in chip registers."""
    rows = [
        (g["name"], g["kind"], g["n"], g.get("du"), g.get("dv"), g.get("vth"))
        for g in _get(metrics, "network", "groups") or ()
    ]  # fmt: skip
    return Table("Groups", ("group", "kind", "neurons", "du", "dv", "vth"), tuple(rows))


def n_weights(connection: Metrics) -> int:
    """Return how many weights a connection of stored metrics holds."""
    return int(connection.get("n_weights", connection["n_post"] * connection["n_pre"]))


def connections_table(metrics: Metrics) -> Table:
    """Connections of the network."""
    rows = [
        (c["name"], n_weights(c), c.get("bits"), c.get("exp"), "yes" if c.get("plastic") else "no")
        for c in _get(metrics, "network", "connections") or ()
    ]
    return Table("Connections", ("connection", "weights", "bits", "weight_exp", "learned"), tuple(rows))


def counts_table(metrics: Metrics) -> Table:
    """Operations per inference and per learning step, those that happened at all."""
    present = [per for per in UNITS if _get(metrics, "counts", per)]
    totals = {per: _get(metrics, "counts", per, "totals") or {} for per in present}
    known = [*COUNTER_WORDS, *sorted({name for found in totals.values() for name in found} - set(COUNTER_WORDS))]
    rows = [
        (counter_name(name), *(count_per(metrics, per, name) for per in present), COUNTER_WORDS.get(name, ("", ""))[1])
        for name in known
        if any(found.get(name) for found in totals.values())
    ]
    return Table("Operations", ("operation", *(f"per {UNITS[per]}" for per in present), "meaning"), tuple(rows))


def counts_by_row_table(metrics: Metrics, per: str = "per_inference") -> Table:
    """Operations of each group and connection, per sample."""
    counts = _get(metrics, "counts", per) or {}
    by_row, samples = counts.get("by_row") or {}, counts.get("samples") or 1
    rows = [(row, counter_name(name), n / samples) for row, found in by_row.items() for name, n in found.items() if n]
    return Table("Operations by part", ("part", "operation", f"per {UNITS[per]}"), tuple(rows))


def energy_table_rows(metrics: Metrics, per: str = "per_inference") -> Table:
    """Energy by operation with the price of each, its kind and its source; the sum comes last."""
    energy = _get(metrics, "energy", per) or {}
    rows: list[tuple[Cell, ...]] = []
    constants = energy.get("constants") or {}
    for name, pj in (energy.get("components_pj") or {}).items():
        price = constants.get(name, {})
        rows.append(
            (
                counter_name(name),
                pj,
                _share(pj, energy.get("total_pj")),
                price.get("value"),
                price.get("kind", "no price"),
                price.get("source"),
            )
        )
    if rows:
        rows.append(("sum of what is priced", energy.get("total_pj"), None, None, None, None))
    title = f"Energy per {UNITS[per]} ({energy.get('table', 'no table')})"
    return Table(title, ("operation", "pJ", "share %", "price in pJ", "kind", "source"), tuple(rows))


def unpriced_table(metrics: Metrics, per: str = "per_inference") -> Table:
    """Work that was counted and is missing in the energy; counts per sample."""
    energy = _get(metrics, "energy", per) or {}
    rows = [
        (counter_name(u["counter"]), u["count"] / (energy.get("per") or 1), u["why"])
        for u in energy.get("unpriced") or ()
    ]
    return Table(f"Not in the energy per {UNITS[per]}", ("operation", f"per {UNITS[per]}", "why"), tuple(rows))


def utilisation_table(metrics: Metrics) -> Table:
    """What each core holds: used and limit of each resource."""
    cores = metrics.get("utilisation") or ()
    resources = list(dict.fromkeys(name for core in cores for name in core["resources"]))
    columns = [text for name in resources for text in (name.replace("_", " "), "limit")]
    rows = [
        (core["core"], ", ".join(map(str, core["tile"])), ", ".join(core["groups"]),
         *(core["resources"].get(name, {}).get(key) for name in resources for key in ("used", "limit")))
        for core in cores
    ]  # fmt: skip
    return Table("Cores", ("core", "tile", "groups", *columns), tuple(rows))


def fill_table(metrics: Metrics, most: int | None = None) -> Table:
    """How full each core is, for people: what is used of the fullest resources with its share, the limits below.

    Of more than `most` cores the fullest are listed, each by the resource that comes closest to its limit.
    """
    cores = list(metrics.get("utilisation") or ())
    title = "Cores"
    shares = {name: max((use.get("share") or 0.0 for core in cores if (use := core["resources"].get(name))), default=0.0)
              for name in dict.fromkeys(name for core in cores for name in core["resources"])}  # fmt: skip
    fullest = sorted(shares, key=lambda name: -shares[name])[:SHOWN_RESOURCES]
    names = [name for name in shares if name in fullest]
    limits = [_limits(cores, name) for name in names]
    if most is not None and len(cores) > most:
        title = f"Cores: the {most} fullest of {len(cores):,}"
        cores = sorted(cores, key=lambda core: (-_fullest_share(core), core["core"]))[:most]
    rows = [
        (str(core["core"]), ", ".join(map(str, core["tile"])), ", ".join(core["groups"]),
         *(_used(core["resources"].get(name)) for name in names))
        for core in cores
    ]  # fmt: skip
    rows += [("limit", "", "", *limits)] if rows else []
    return Table(title, ("core", "tile", "groups", *(name.replace("_", " ") for name in names)), tuple(rows))


def chip_cost_lines(metrics: Metrics) -> list[str]:
    """Return what a chip would need to learn so, and whether it fits, in two lines."""
    cost = metrics.get("chip_cost")
    if not cost:
        return []
    bits = ", ".join(f"{cost['bits_per_' + owner]:,} bits a {name}" for owner, name in OWNERS.items())
    sent = {per: sum(m["n"] for m in cost["messages"] if m["per"] == per) for per in ("pair", "sample")}
    return [
        f"learning needs     {bits}; {sent['pair']:,} messages a pair, {sent['sample']:,} more a sample",
        f"{'fits on ' + cost['chip']:<18} {cost['verdict']}",
    ]


def chip_state_table(metrics: Metrics) -> Table:
    """State that learning keeps on a chip, by owner."""
    state = _get(metrics, "chip_cost", "state") or ()
    rows = [(p["of"], f"{OWNERS[p['owner']]}: {p['what']}", p["bits"], p["n"]) for p in state]
    return Table("State of learning", ("part", "what", "bits each", "how many"), tuple(rows))


def chip_messages_table(metrics: Metrics) -> Table:
    """Values that learning sends beside spikes."""
    sent = _get(metrics, "chip_cost", "messages") or ()
    rows = [(m["group"], m["what"], m["per"], m["n"], m["bits"]) for m in sent]
    return Table("Messages of learning", ("to group", "value", "per", "messages", "bits"), tuple(rows))


def chip_operations_table(metrics: Metrics) -> Table:
    """Operations that learning adds to running the members, counted."""
    extra = _get(metrics, "chip_cost", "extra_operations") or {}
    sample, step = extra.get("per_sample") or {}, extra.get("per_step") or {}
    rows = [(counter_name(name), n, step.get(name)) for name, n in sample.items() if n]
    return Table("Extra operations of learning", ("operation", "per training sample", "per time step"), tuple(rows))


def chip_needs_table(metrics: Metrics) -> Table:
    """What learning needs of a chip against what it has."""
    words = {True: "yes", False: "no", None: "not known"}
    rows = [
        (n["resource"], n["of"], n["need"], n["limit"], n["unit"], words[n["fits"]], n["kind"], n["source"])
        for n in _get(metrics, "chip_cost", "needs") or ()
    ]
    columns = ("resource", "of", "need", "limit", "unit", "fits", "kind", "source of the limit")
    return Table(f"Does learning fit on {_get(metrics, 'chip_cost', 'chip') or 'the chip'}?", columns, tuple(rows))


def chip_cost_tables(metrics: Metrics) -> list[Table]:
    """Return the tables of what a chip would need to learn so, those with rows."""
    makers = (chip_needs_table, chip_state_table, chip_messages_table, chip_operations_table)
    return [table for table in (make(metrics) for make in makers) if table.rows]


def history_table(metrics: Metrics) -> Table:
    """The learning curve."""
    measured = ("loss", "balance") if is_direct(metrics) else ("fitness", "moved", "saturated")
    names = ("generation", "samples", "train_accuracy", "test_accuracy", *measured)
    history = _get(metrics, "training", "history") or ()
    return Table("Learning", names, tuple(tuple(entry.get(name) for name in names) for entry in history))


def learned_neurons_table(metrics: Metrics) -> Table:
    """Thresholds and time constants before and after training by gradients, those that it may have changed."""
    rows = [
        (n["group"], NEURON_WORDS.get(n["quantity"], n["quantity"]), n["before"], n["after"], n["unit"])
        for n in _get(metrics, "training", "neurons") or ()
    ]
    return Table("Neurons", ("group", "quantity", "before", "after", "unit"), tuple(rows))


def widths_table(metrics: Metrics) -> Table:
    """Widths of the surrogate gradients after training: one of a layer, or the range over its time steps."""
    direct = _get(metrics, "training", "direct") or {}
    rows = [
        (name, direct.get("surrogate"), len(found), sum(found) / len(found), min(found), max(found))
        for name, found in (_get(metrics, "training", "widths") or {}).items()
    ]
    columns = ("group", "shape", "widths", "mean, in thresholds", "smallest", "largest")
    return Table("Surrogate gradients", columns, tuple(rows))


def confusion_table(metrics: Metrics) -> Table:
    """Test samples by true class (rows) and answer (columns)."""
    matrix = _get(metrics, "test", "confusion") or ()
    classes = class_names(metrics)
    return Table(
        "Answers", ("true class", *classes), tuple((name, *row) for name, row in zip(classes, matrix, strict=True))
    )


def quantization_table(metrics: Metrics) -> Table:
    """What quantising changed, object by object."""
    entries = metrics.get("quantization") or ()
    keys = list(dict.fromkeys(key for entry in entries for key in entry if key != "note"))
    rows = [tuple(_plain(entry.get(key)) for key in (*keys, "note")) for entry in entries]
    return Table("Quantisation", (*keys, "note"), tuple(rows))


def class_names(metrics: Metrics) -> tuple[str, ...]:
    """Return the names of the classes of the test."""
    test = metrics.get("test") or {}
    return tuple(str(name) for name in test.get("classes") or range(len(test.get("confusion") or ())))


def all_tables(metrics: Metrics) -> list[Table]:
    """Return every table that has rows."""
    tables = [
        network_table(metrics),
        connections_table(metrics),
        history_table(metrics),
        learned_neurons_table(metrics),
        widths_table(metrics),
        confusion_table(metrics),
        counts_table(metrics),
    ]
    tables += [make(metrics, per) for per in UNITS for make in (counts_by_row_table, energy_table_rows, unpriced_table)]
    tables += chip_cost_tables(metrics)
    tables += [utilisation_table(metrics), quantization_table(metrics)]
    return [table for table in tables if table.rows]


def _get(data: Any, *keys: str) -> Any:
    """Follow keys through nested tables; None where one is missing."""
    for key in keys:
        if not isinstance(data, Mapping):
            return None
        data = data.get(key)
    return data


def _share(part: float | None, total: float | None) -> float | None:
    return None if part is None or not total else 100 * part / total


def _plain(value: Any) -> Cell:
    if value is None or isinstance(value, (str, int, float)):
        return value
    return ", ".join(map(str, value)) if isinstance(value, Iterable) else str(value)


def bottleneck(metrics: Metrics) -> dict[str, Any] | None:
    """Return the resource that comes closest to its limit: resource, core, used, limit, share; None without any limit.

    The first of equals, as `neurosim.mapping.utilisation.bottleneck` has it.
    """
    shares = [
        {"resource": name, "core": core["core"], "used": use["used"], "limit": use["limit"], "share": use["share"]}
        for core in metrics.get("utilisation") or ()
        for name, use in core["resources"].items()
        if use.get("share") is not None
    ]
    return max(shares, key=lambda each: each["share"], default=None)


def _used(use: Metrics | None) -> str | None:
    """Return what is used of a resource, with its share."""
    if use is None:
        return None
    return f"{use['used']:,}" + ("" if use.get("share") is None else f" ({format_share(use['share'])})")


def _limits(cores: Iterable[Metrics], name: str) -> str:
    """Return the limit of a resource, or the smallest and the largest where cores differ."""
    found = sorted(
        {use["limit"] for core in cores if (use := core["resources"].get(name)) and use["limit"] is not None}
    )
    if not found:
        return "none known"
    return f"{found[0]:,}" if len(found) == 1 else f"{found[0]:,} to {found[-1]:,}"


def bottleneck_lines(metrics: Metrics) -> list[str]:
    """Return how many cores are in use and which limit is nearest, in a line; nothing without cores."""
    cores = metrics.get("utilisation") or ()
    if not cores:
        return []
    n = _get(metrics, "mesh", "cores")
    text = f"cores          {len(cores):,}" + ("" if n is None else f" of {n:,}")
    found = bottleneck(metrics)
    if found is not None:
        text += (
            f"; bottleneck: {found['resource'].replace('_', ' ')}, {found['used']:,} of {found['limit']:,} on core "
            f"{found['core']} ({format_share(found['share'])})"
        )
    return [text]


def _fullest_share(core: Metrics) -> float:
    return max((use["share"] for use in core["resources"].values() if use.get("share") is not None), default=0.0)


def _fullest(metrics: Metrics) -> str:
    """Name the resource that comes closest to its limit."""
    found = bottleneck(metrics)
    if found is None:
        return ""
    return f"; fullest: {found['resource'].replace('_', ' ')} of core {found['core']}, {found['share']:.0%}"
