"""Compare two runs by what they measured: configuration, accuracy, operations, energy, time and use of the chip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from pathlib import Path
from typing import Any

from neurosim.chip import Constant
from neurosim.counters import OpCounts
from neurosim.energy import energy, load_energy_table
from neurosim.errors import ConfigError
from neurosim.metrics import counts_matrix, unknown_counter
from neurosim.modelfile import load_model
from neurosim.report import UNITS, accuracy_interval, bottleneck, count_per, counter_name, n_weights
from neurosim.runfolder import RunFolder, model_file
from neurosim.studies.energystudy import count_samples, study, tables_of
from neurosim.tables import Cell, Table
from neurosim.tasks import EPISODE_TASKS, load_task

Metrics = Mapping[str, Any]

LIMIT = 100  # samples of a model that has no metrics
COUNTED = Constant(None, "", "", "")
SHAPE_UNITS = {"neurons": "neurons", "pairs of neurons connected": "pairs", "time steps": "steps"}


def metrics_of(path: Path, *, backend: str = "simulator", threads: int = 1, limit: int = LIMIT) -> dict[str, Any]:
    """Return the metrics of a run folder; a model without them runs the first test samples of its task.

    Raises
    ------
    ConfigError
        If a model says no task, or one that is played.
    """
    folder = RunFolder(path)
    if folder.metrics_path.exists():
        return folder.read_metrics() | {"measured": "by its training run"}
    model = load_model(model_file(path))
    name = model.metadata.get("task")
    if name is None or name in EPISODE_TASKS:
        what = "says no task" if name is None else f"plays task {name!r}"
        raise ConfigError(
            f"model {str(path)!r}: {what}, so that nothing was measured; give the folder of a finished run"
        )
    task = load_task(str(name), n_steps=model.metadata.get("n_steps_input"), augment=False, test_only=True)
    counted = count_samples(model, task, backend=backend, threads=threads, limit=limit)
    config = model.metadata.get("config") or {}
    found = study(counted, [str(config.get("energy_table") or tables_of(model.chip)[0])])
    return {
        "neurosim": model.version,
        "measured": f"now, on {counted.answers['n'] if counted.answers else 0} test samples",
        "task": name,
        "backend": found["backend"],
        "chip": found["chip"],
        "mesh": found["mesh"],
        "config": config,
        "network": found["network"],
        "test": found["test"],
        "counts": found["counts"],
        "energy": {per: energies[0] for per, energies in found["energies"].items()},
        "utilisation": found["utilisation"],
    }


def priced_anew(metrics: Metrics, table: str) -> dict[str, Any]:
    """Return metrics with their counts priced by another table.

    Metrics of older versions do not have the kinds of connections: where a table has a price for each, that of dense ones
    is taken.
    """
    prices = load_energy_table(table)
    energies: dict[str, Any] = {}
    for per, found in (metrics.get("counts") or {}).items():
        if found is not None:
            counts = _plain_counts(found)
            energies[per] = energy(counts, prices, per=max(1, counts.n_samples)).to_dict()
    return dict(metrics) | {"energy": energies, "energy_table": table}


def compare_runs(a: Metrics, b: Metrics, names: tuple[str, str]) -> dict[str, Any]:
    """Return what differs between two runs, in plain values.

    Parameters
    ----------
    a, b : mapping
        Metrics, as of `metrics_of`.
    names : (str, str)
        What the runs are called.

    Returns
    -------
    dict
        names; configuration (keys that differ: key, a, b); accuracy (both with their interval, and their difference); quantities
        (list of per, what, item, unit, a, b); tables (energy tables).
    """
    return {
        "names": list(names),
        "measured": [run.get("measured", "by its training run") for run in (a, b)],
        "configuration": _configuration(a, b),
        "accuracy": _accuracy(a, b),
        "quantities": [*_shape(a, b), *_counts(a, b), *_energies(a, b), *_times(a, b), *_use(a, b)],
        "tables": [{per: (run.get("energy") or {}).get(per, {}) and run["energy"][per]["table"] for per in UNITS
                    if (run.get("energy") or {}).get(per)} for run in (a, b)],
    }  # fmt: skip


def difference_interval(a: tuple[int, int], b: tuple[int, int]) -> tuple[float, float]:
    """Return the 95 % interval of ``accuracy b - accuracy a`` of two tests.

    Parameters
    ----------
    a, b : (int, int)
        Correct answers, and answers.

    Notes
    -----
    Newcombe 1998, doi 10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I, method 10, from Wilson's intervals of
    both. For different samples: where both runs were tested on the same ones it is wider than need be.

    Examples
    --------
    >>> low, high = difference_interval((48, 80), (56, 70))
    >>> round(low, 4), round(high, 4)
    (0.0524, 0.3339)
    """
    (low_a, high_a), (low_b, high_b) = accuracy_interval(*a), accuracy_interval(*b)
    p, q = a[0] / a[1], b[0] / b[1]
    d = q - p
    return d - sqrt((q - low_b) ** 2 + (high_a - p) ** 2), d + sqrt((high_b - q) ** 2 + (p - low_a) ** 2)


def quantities_table(found: Mapping[str, Any], what: tuple[str, ...], title: str) -> Table:
    """Both values of some quantities, and the second divided by the first."""
    rows: list[tuple[Cell, ...]] = []
    for row in found["quantities"]:
        if row["what"] in what:
            a, b = row["a"], row["b"]
            numbers = isinstance(a, (int, float)) and isinstance(b, (int, float))
            ratio = b / a if numbers and a else None
            rows.append((row["item"], row["per"], row["unit"], a, b, ratio))
    first, second = found["names"]
    return Table(title, ("quantity", "per", "unit", first, second, "ratio"), tuple(rows))


def machine_table(found: Mapping[str, Any]) -> Table:
    """Every quantity as a row with unit, table, kind and source."""
    rows: list[tuple[Cell, ...]] = [
        ("", "configuration", row["key"], "", _cell(row["a"]), _cell(row["b"]), "", "", "")
        for row in found["configuration"]
    ]
    accuracy = found["accuracy"]
    if accuracy is not None:
        sides = [accuracy[side] or {} for side in ("a", "b")]
        for key in ("accuracy", "low", "high"):
            a, b = (side.get(key) for side in sides)
            rows.append(
                (
                    "",
                    "accuracy",
                    key,
                    "share",
                    a,
                    b,
                    "",
                    "counted",
                    "Wilson's 95 % interval" if key != "accuracy" else "",
                )
            )
    rows += [
        (row["per"], row["what"], row["item"], row["unit"], row["a"], row["b"], row.get("table", ""), row["kind"], row["source"])
        for row in found["quantities"]
    ]  # fmt: skip
    columns = ("per", "what", "item", "unit", *found["names"], "table", "kind", "source")
    return Table("comparison", columns, tuple(rows))


def _configuration(a: Metrics, b: Metrics) -> list[dict[str, Any]]:
    """Return the keys that differ, with both values."""
    left, right = _flat(a), _flat(b)
    keys = dict.fromkeys([*left, *right])
    return [{"key": key, "a": left.get(key), "b": right.get(key)} for key in keys if left.get(key) != right.get(key)]


def _flat(metrics: Metrics) -> dict[str, Any]:
    config = metrics.get("config") or {}
    found = {"neurosim": metrics.get("neurosim"), "backend": metrics.get("backend"), "chip": metrics.get("chip"),
             "task": metrics.get("task")}  # fmt: skip
    for key, value in config.items():
        if isinstance(value, Mapping):
            found |= {f"{key}.{inner}": each for inner, each in value.items()}
        else:
            found[key] = value
    return found


def _accuracy(a: Metrics, b: Metrics) -> dict[str, Any] | None:
    """Return both accuracies with their interval, and whether they differ beyond it; None where neither has one."""
    sides = [_interval(run.get("test") or {}) for run in (a, b)]
    if sides == [None, None]:
        return None
    found: dict[str, Any] = {"a": sides[0], "b": sides[1], "difference": None}
    if sides[0] and sides[1]:
        pairs = [(side["n_correct"], side["n"]) for side in sides if side is not None]
        low, high = difference_interval(pairs[0], pairs[1])
        found["difference"] = {"b_minus_a": sides[1]["accuracy"] - sides[0]["accuracy"], "low": low, "high": high,
                               "beyond_chance": not low <= 0 <= high, "level": 0.95}  # fmt: skip
    return found


def _interval(test: Metrics) -> dict[str, Any] | None:
    if test.get("accuracy") is None or not test.get("n") or test.get("n_correct") is None:
        return None
    low, high = accuracy_interval(test["n_correct"], test["n"])
    return {"accuracy": test["accuracy"], "n": test["n"], "n_correct": test["n_correct"], "low": low, "high": high}


def _row(
    per: str, what: str, item: str, unit: str, values: Sequence[Any], source: Constant = COUNTED, table: str = ""
) -> dict[str, Any]:
    a, b = values
    kind, origin = (source.kind or "counted"), (source.source or "neurosim")
    return {
        "per": per,
        "what": what,
        "item": item,
        "unit": unit,
        "a": a,
        "b": b,
        "kind": kind,
        "source": origin,
        "table": table,
    }


def _shape(a: Metrics, b: Metrics) -> list[dict[str, Any]]:
    """Return the sizes of both networks."""
    sides = []
    for run in (a, b):
        network = run.get("network") or {}
        neurons = sum(group["n"] for group in network.get("groups", ()) if group["kind"] != "input")
        weights = sum(map(n_weights, network.get("connections", ())))
        sides.append({"neurons": neurons, "pairs of neurons connected": weights, "time steps": network.get("n_steps")})
    return [_row("", "shape", name, SHAPE_UNITS[name], [side[name] for side in sides]) for name in sides[0]]


def _counts(a: Metrics, b: Metrics) -> list[dict[str, Any]]:
    """Return operations that either run counted."""
    rows = []
    for per, words in UNITS.items():
        totals = [((run.get("counts") or {}).get(per) or {}).get("totals") or {} for run in (a, b)]
        for name in dict.fromkeys([*totals[0], *totals[1]]):
            values = [count_per(run, per, name) for run in (a, b)]
            if any(values):
                rows.append(_row(words, "operations", counter_name(name), "operations", values))
    return rows


def _energies(a: Metrics, b: Metrics) -> list[dict[str, Any]]:
    """Return energies by component, where both runs were priced by the same table; else the sums."""
    rows = []
    for per, words in UNITS.items():
        found = [(run.get("energy") or {}).get(per) or {} for run in (a, b)]
        if not any(found):
            continue
        tables = list(dict.fromkeys(each["table"] for each in found if each))
        for name in dict.fromkeys([*(found[0].get("components_pj") or {}), *(found[1].get("components_pj") or {})]):
            values = [(each.get("components_pj") or {}).get(name) for each in found]
            prices = [(each.get("constants") or {}).get(name) for each in found]
            price = next((Constant(**p) for p in prices if p), Constant(None, "pJ", "", "no price"))
            if len(tables) == 1 and any(values):
                rows.append(_row(words, "energy", counter_name(name), "pJ", values, price, tables[0]))
        made = Constant(None, "pJ", f"counts x prices of {' and '.join(tables)}", "sum of what is priced")
        rows.append(
            _row(words, "energy", "sum", "pJ", [each.get("total_pj") for each in found], made, " and ".join(tables))
        )
    return rows


def _times(a: Metrics, b: Metrics) -> list[dict[str, Any]]:
    """Return what training took; seconds are of the machine it ran on."""
    sides = [run.get("training") or {} for run in (a, b)]
    keys = {"generations": "generations", "samples": "training samples", "seconds": "s, of that machine"}
    measured = Constant(None, "", "clock of the machine that trained", "measured")
    return [
        _row(
            "training run",
            "time",
            key,
            unit,
            [side.get(key) for side in sides],
            measured if key == "seconds" else COUNTED,
        )
        for key, unit in keys.items()
        if any(side.get(key) is not None for side in sides)
    ]


def _use(a: Metrics, b: Metrics) -> list[dict[str, Any]]:
    """Return the cores in use and the fullest resource of each chip."""
    rows = [_row("", "use", "cores", "cores", [len(run.get("utilisation") or ()) or None for run in (a, b)])]
    found = [bottleneck(run) for run in (a, b)]
    shares = [None if each is None else 100 * each["share"] for each in found]
    names = [None if each is None else each["resource"] for each in found]
    rows.append(_row("", "use", "fullest resource", "% of its limit", shares))
    rows.append(_row("", "use", "which resource is fullest", "name", names))
    return rows


def _plain_counts(found: Metrics) -> OpCounts:
    """Return stored counts; where metrics of an older version have no kinds, input lines are known by what they do."""
    rows, name = tuple(found["by_row"]), unknown_counter(found["by_row"])
    if name is not None:
        raise ConfigError(
            f"metrics: counter {name!r} is of another version of neurosim; train again, or leave out --table"
        )
    matrix, kinds = counts_matrix(rows, found["by_row"]), found.get("kinds") or {}
    ordered = tuple(kinds[row] for row in rows) if kinds else ()
    return OpCounts(rows, matrix, int(found["samples"]), int(found["totals"]["barriers"]), ordered)


def _cell(value: Any) -> Cell:
    return value if value is None or isinstance(value, (str, int, float)) else str(value)
