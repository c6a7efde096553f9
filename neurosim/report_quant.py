"""What a network lost in integers, as tables and lines for people; made from `quantisation_report`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from neurosim.report import accuracy_interval, counter_name
from neurosim.tables import Cell, Table, format_cell, format_share

Report = Mapping[str, Any]

#: Bounds that `quantize` notes, in words.
BOUNDS = {
    "input_bound": "current",
    "v_bound": "voltage",
    "sum_bound": "input of a step",
    "conv_bound": "convolution",
    "loihi1_sum_bound": "input on Loihi 1",
}
#: How to read `layers_table`.
RATE_LINES = (
    "rates are spikes of a neuron in a step; in common: spikes of both at the same neuron and step, of all spikes; networks "
    "part for good after their first different spike, so rates and answers say more than single spikes",
)


def parameters_table(report: Report) -> Table:
    """Time constants, thresholds and biases of each group: wanted, held, and the largest relative error."""
    rows: list[tuple[Cell, ...]] = []
    for layer in report["layers"]:
        for name, unit, factor in (("tau_mem", " ms", 1e3), ("tau_syn", " ms", 1e3), ("v_threshold", "", 1.0)):
            found = layer[name]
            if found is not None:
                shown = (_span(found[key], unit, factor) for key in ("wanted", "got"))
                rows.append((layer["group"], name, *shown, _percent(found["worst_error"])))
        bias = layer["bias"]
        if bias is not None:
            error = f"{format_cell(bias['error_in_thresholds'])} thresholds"
            rows.append((layer["group"], "bias", f"up to {format_cell(bias['largest'])}", "", error))
    return Table("Parameters", ("group", "parameter", "wanted", "held", "largest error"), tuple(rows))


def weights_table(report: Report) -> Table:
    """How the weights of each connection came through rounding."""
    rows = [
        (w["connection"], w["n"], w["bits"], w["weight_exp"], w["clipped"], w["rounded_to_zero"], _decibels(w["sqnr_db"]),
         w["largest_error"], w["rms_error"])
        for layer in report["layers"] for w in layer["weights"]
    ]  # fmt: skip
    columns = (
        "connection",
        "weights",
        "bits",
        "weight_exp",
        "clipped",
        "to zero",
        "SQNR",
        "largest error",
        "rms error",
    )
    return Table("Weights", columns, tuple(rows))


def bounds_table(report: Report) -> Table:
    """What registers reach at worst, over their limits, and what really overflowed in the run."""
    used = {bound["quantity"] for layer in report["layers"] for bound in layer["bounds"]}
    shown = [quantity for quantity in BOUNDS if quantity in used]
    rows: list[tuple[Cell, ...]] = []
    for layer in report["layers"]:
        happened = _overflows(layer)
        if layer["bounds"] or happened is not None:
            rows.append((layer["group"], *(_worst(layer["bounds"], quantity) for quantity in shown), happened))
    columns = ("group", *(BOUNDS[quantity] for quantity in shown), "overflows in the run")
    return Table("Overflow: the worst case over the limit; up to 1 it cannot happen", columns, tuple(rows))


def layers_table(report: Report) -> Table:
    """Spikes of both runs by layer; no rows where nothing ran."""
    rows: list[tuple[Cell, ...]] = []
    for layer in report["layers"]:
        rates = layer.get("rates")
        if rates is not None:
            rows.append((
                layer["group"], rates["float"], rates["integer"], rates["ratio"], rates["correlation"],
                format_share(rates["shared"]) or None,
            ))  # fmt: skip
    columns = ("group", "rate, floats", "rate, integers", "ratio", "correlation", "in common")
    return Table("Firing rates", columns, tuple(rows))


def divergence_table(report: Report) -> Table:
    """Where the runs part: the first different spike of each layer, and errors of voltages until then."""
    rows: list[tuple[Cell, ...]] = []
    for layer in report["layers"]:
        if layer.get("rates") is None:
            continue
        first, voltage = layer["divergence"], layer["voltage"]
        error = None if voltage is None else format_cell(voltage["largest_error"])
        bound = None if voltage is None or voltage.get("bound") is None else format_cell(voltage["bound"])
        if first is None:
            rows.append((layer["group"], "never", None, None, error, bound, "all spikes are the same"))
            continue
        rows.append((
            layer["group"], f"step {first['step']:,}", f"{first['samples']:,} of {report['samples']:,}",
            first["median_step"], error, bound, _divergence(first),
        ))  # fmt: skip
    columns = (
        "group",
        "first",
        "samples that part",
        "median step",
        "error of v until then",
        "predicted",
        "what happened first",
    )
    return Table("Where the runs part", columns, tuple(rows))


def quant_tables(report: Report) -> list[Table]:
    """Return the tables of a report that have rows."""
    makers = (parameters_table, weights_table, bounds_table, layers_table, divergence_table)
    return [table for table in (make(report) for make in makers) if table.rows]


def search_table(found: Report) -> Table:
    """Scales that were chosen on samples, and the error of each group before and after."""
    rows = [
        (name, group["scale"], f"{group['factor']:.3g}", group["clipped"], group["error_before"], group["error"])
        for name, group in found["groups"].items()
    ]
    columns = ("group", "scale", "times that of quantize", "weights clipped", "error before", "error")
    return Table(f"Scales chosen on {found['samples']:,} samples", columns, tuple(rows))


def import_lines(found: Report) -> list[str]:
    """Return where an imported model comes from, and what its reader noted, in lines."""
    told = ", ".join(f"{key} {value}" for key, value in found["source"].items() if isinstance(value, (str, int, float)))
    lines = [f"format         {found['format']}" + (f" ({told})" if told else "")]
    return lines + [f"{note['kind']:<14} {note['owner']}: {note['text']}" for note in found["notes"]]


def quant_lines(report: Report) -> list[str]:
    """Return what a report comes to, in a few lines."""
    lines, accuracy = [], report.get("accuracy")
    if report["samples"]:
        lines.append(
            f"ran            {report['samples']:,} sample{'s' * (report['samples'] != 1)} of {report['n_steps']:,} steps, in "
            f"floats and in integers on backend {report['backend']}"
        )
    if accuracy is not None:
        n = accuracy["n"]
        lines.append(
            f"answers        {n - accuracy['differ']:,} of {n:,} agree ({1 - accuracy['differ'] / n:.1%}): {accuracy['read']} of "
            f"{accuracy['readout']}"
        )
        if accuracy["n_labelled"]:
            lines += [_accuracy_line(accuracy, key) for key in ("float", "integer")]
            lines.append(
                f"difference     {100 * (accuracy['integer'] - accuracy['float']):+.1f} points: only floats right in "
                f"{accuracy['only_float_right']:,}, only integers right in {accuracy['only_integer_right']:,}"
            )
    weakest = min(
        (w for layer in report["layers"] for w in layer["weights"] if w["sqnr_db"] is not None),
        key=lambda w: float(w["sqnr_db"]), default=None,
    )  # fmt: skip
    if weakest is not None:
        lines.append(f"weights        the least exact: {weakest['connection']}, {_decibels(weakest['sqnr_db'])}")
    clipped = sum(w["clipped"] for layer in report["layers"] for w in layer["weights"])
    lines += [f"clipped        {clipped:,} weights"] if clipped else []
    lost = [(layer["group"], text) for layer in report["layers"] if (text := _overflows(layer)) not in (None, "none")]
    lines += [f"overflows      {name}: {text}" for name, text in lost]
    return lines


def _accuracy_line(accuracy: Report, key: str) -> str:
    n = accuracy["n_labelled"]
    correct = round(accuracy[key] * n)
    low, high = accuracy_interval(correct, n)
    words = {"float": "floats", "integer": "integers"}[key]
    return (
        f"accuracy       {accuracy[key]:.1%} in {words} ({correct:,} of {n:,}; 95 % interval {low:.1%} to {high:.1%})"
    )


def _span(found: tuple[float, float, float], unit: str, factor: float) -> str:
    """Write smallest, median and largest; one number where they are the same."""
    low, middle, high = (format_cell(value * factor) for value in found)
    return f"{low}{unit}" if low == high else f"{low} to {high}{unit}, median {middle}"


def _percent(share: float) -> str:
    return "exact" if share < 1e-12 else f"{100 * share:.2g} %"


def _decibels(value: float | None) -> str:
    return "exact" if value is None else f"{value:.1f} dB"


def _worst(bounds: Sequence[Report], quantity: str) -> str | None:
    """Return the largest bound of a kind in words; None where there is none of it."""
    found = [bound["value"] for bound in bounds if bound["quantity"] == quantity]
    if not found:
        return None
    return "no bound" if None in found else f"{max(found):.2g}"


def _overflows(layer: Report) -> str | None:
    """Return the overflows of a run in words; None where nothing ran or nothing was counted."""
    found = layer.get("overflows")
    if found is None:
        return None
    return ", ".join(f"{n:,} {counter_name(name)}" for name, n in found.items() if n) or "none"


def _divergence(first: Report) -> str:
    """Say what both did at the first difference."""
    sent = ", ".join(
        f"{words} {'sent ' + str(first[key]) if abs(first[key]) > 1 else 'fired' if first[key] else 'did not fire'}"
        + ("" if first[key] or first[voltage] is None else f" (v {format_cell(first[voltage])}{_of_threshold(first)})")
        for words, key, voltage in (("floats", "float", "v_float"), ("integers", "integer", "v_integer"))
    )
    return f"sample {first['sample']:,}, neuron {first['neuron']:,}: {sent}"


def _of_threshold(first: Report) -> str:
    return "" if first["v_threshold"] is None else f" of {format_cell(first['v_threshold'])}"
