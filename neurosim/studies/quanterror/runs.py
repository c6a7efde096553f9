"""The float network and its integers run side by side: rates, the first difference, voltages, answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.answers import Answer
from neurosim.backend import Runner, RunResult, get_backend
from neurosim.bounds import voltage_error_bound
from neurosim.codes import FIT_COUNT, FIT_FIRST, FIT_LIKELIHOOD
from neurosim.compile_network import compile as compile_network
from neurosim.counters import OVERFLOWS, OpCounts
from neurosim.decays import Decay
from neurosim.errors import ConfigError, DataError
from neurosim.events import Events
from neurosim.fixedpoint import DEFAULT_ARITHMETIC, INPUT_SHIFT
from neurosim.floatsim import FloatResult, FloatSimulator
from neurosim.goals import FITNESS
from neurosim.network import AnyConnection, Connection, ConvConnection, CubaLIF, Network, Probe, SparseConnection
from neurosim.quantized import Quantized

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
#: Called after each block with the samples that are done and all of them.
OnProgress = Callable[[int, int], None]

BOUNDED = ("lif", "refractory", "ternary")  # models whose voltage error has a bound
SHOWN_NEURONS = 400  # of a layer, in the picture of its rates
READ_WORDS = {FIT_COUNT: "most spikes", FIT_LIKELIHOOD: "largest last voltage", FIT_FIRST: "first spike"}


def default_answer(network: Network) -> Answer | None:
    """Return how a float network answers: the group that feeds no other, by its spikes or as a readout by its last voltage.

    None where several groups, or none of at least two neurons, could be it.
    """
    feeding = {c.source for c in network.connections if c.source != c.target}
    ends = [g for g in network.groups if isinstance(g, CubaLIF) and g.name not in feeding and g.n > 1]
    if len(ends) != 1:
        return None
    fires = bool(np.any(np.isfinite(np.asarray(ends[0].v_threshold))))
    return Answer(ends[0].name, "count" if fires else "likelihood")


class Arrivals(NamedTuple):
    """Spikes that reach a neuron, at most: in each step, and since the beginning; (n_samples, n_steps) each."""

    each: Floats
    so_far: Floats


class Comparison:
    """Sums over blocks of samples of what both runs did.

    Parameters
    ----------
    network : Network
        In floats.
    quantized : Quantized
        The same in integers.
    answer : Answer or None
        How both are read; None: they are not.
    decay : {"exact", "euler"}
    """

    def __init__(self, network: Network, quantized: Quantized, answer: Answer | None, decay: Decay) -> None:
        if answer is not None and (answer.n_windows != 1 or FITNESS[answer.fitness] not in READ_WORDS):
            raise ConfigError(
                f"answer: {answer.fitness!r} in {answer.n_windows} windows has no float form; read one answer a sample by "
                "'count', 'likelihood' or 'first-spike'"
            )
        self.network, self.quantized, self.answer = network, quantized, answer
        self.groups = [group for group in network.groups if isinstance(group, CubaLIF)]
        self.voltages = [g.name for g in self.groups if "v" in quantized.network.group(g.name).states]
        self.layers = {group.name: Layer(group) for group in self.groups}
        self.decay = decay
        record = [(name, "v") for name in self.voltages]
        record += [(g.name, "u") for g in self.groups if g.name in self.voltages and g.tau_syn is not None]
        self.simulator = FloatSimulator(network, decay=decay, record=record)
        self.ancestors = _ancestors(network)
        self.fan_in = {c.name: largest_fan_in(c) for c in network.connections}
        self.answers: tuple[list[Ints], list[Ints]] = ([], [])
        self.counts: OpCounts | None = None

    def run(
        self, events: Events, n_steps: int | None, backend: str, arithmetic: str, threads: int,
        on_progress: OnProgress | None,
    ) -> None:  # fmt: skip
        """Run all samples in blocks on both sides."""
        probes = [Probe(group.name) for group in self.groups] + [Probe(name, "v") for name in self.voltages]
        program = compile_network(self.quantized.network.with_probes(probes), "unlimited", arithmetic)
        with get_backend(backend).open(program, threads=threads) as runner:
            for first, floats in self.simulator.blocks(events, n_steps):
                n = len(floats.spikes[self.groups[0].name])
                self._block(first, floats, _integers(runner, events, first, n, n_steps))
                if on_progress is not None:
                    on_progress(first + n, events.n_samples)

    def _block(self, first: int, floats: FloatResult, result: RunResult) -> None:
        """Add a block of samples."""
        if result.counts is not None:
            self.counts = result.counts if self.counts is None else self.counts + result.counts
        integers = {
            g.name: raster(result, g.name, floats.spikes[g.name].shape, g.name in floats.values) for g in self.groups
        }
        begun: dict[str, Ints] = {}  # the first step in which a group differs, by sample
        for group in self.groups:
            name = group.name
            wanted = np.asarray(floats.values.get(name, floats.spikes[name]), np.int8)
            begun[name] = self.layers[name].add(first, wanted, integers[name])
        for name in self.voltages:
            unit = self.quantized.scales[f"group/{name}"] * 2.0**INPUT_SHIFT
            v, held = floats.states[name, "v"], result.states[name, "v"] / unit
            upstream = [begun[other] for other in self.ancestors[name] if other in begun and other != name]
            n_steps = v.shape[1]
            alike = np.minimum(begun[name] - 1, np.min([*upstream, np.full(len(v), n_steps)], axis=0))
            self.layers[name].add_voltages(v, held, alike, floats.states.get((name, "u")), self._arrivals(name, floats))
            self.layers[name].describe(first, v, held)
        if self.answer is not None:
            spikes = floats.spikes[self.answer.readout]
            found = _classes(self.answer, spikes, floats.states.get((self.answer.readout, "v")))
            self.answers[0].append(found)
            v_held = result.states.get((self.answer.readout, "v"))
            self.answers[1].append(_classes(self.answer, integers[self.answer.readout] != 0, v_held))

    def _arrivals(self, name: str, floats: FloatResult) -> Arrivals:
        """Bound how many spikes, by their values, reach a neuron of a group in each step."""
        shape = next(iter(floats.spikes.values())).shape[:2]
        each, first = np.zeros(shape), np.zeros(shape)
        for c in self.network.connections:
            if c.target != name:
                continue
            values = (
                floats.values.get(c.source, floats.spikes[c.source]) if c.num_message_bits else floats.spikes[c.source]
            )
            size = np.abs(values, dtype=np.float64) if values.dtype != np.bool_ else values
            sent = np.minimum(size.sum(axis=2), self.fan_in[c.name] * float(size.max(initial=0)))
            for delay in (0,) if c.delays is None else np.unique(np.asarray(c.delays)).tolist():
                each[:, 1 + delay :] += sent[:, : max(0, shape[1] - 1 - delay)]
            first[:, 1:] += sent[:, :-1]
        return Arrivals(each, np.cumsum(first, axis=1))

    def predicted(self, name: str) -> Floats | None:
        """Return by how much the voltages of a group may differ until its first different spike; None without a bound."""
        layer = self.layers[name]
        if not layer.compared or layer.group.model not in BOUNDED:
            return None
        return voltage_error_bound(
            self.network, self.quantized, name, u_max=layer.u_max, v_max=layer.v_max, spikes_per_step=layer.most_at_once,
            n_spikes=layer.most, n_steps=layer.longest, decay=self.decay,
        )  # fmt: skip

    def layer(self, name: str, n_samples: int, n_steps: int) -> dict[str, Any]:
        """Return what a group did on both sides, in plain values."""
        found = self.layers[name].to_dict(n_samples, n_steps)
        overflows = None
        if self.counts is not None:
            overflows = {counter: self.counts.of(name, counter) for counter in OVERFLOWS}
        bound = self.predicted(name)
        if bound is not None and found["voltage"] is not None:
            error = self.layers[name].error
            found["voltage"] |= {
                "bound": float(bound.max()) if np.isfinite(bound).all() else None,
                "holds": bool(np.all(error <= bound * (1 + 1e-9))),
            }
        return found | {"overflows": overflows}

    def accuracy(self, labels: npt.ArrayLike | None) -> dict[str, Any] | None:
        """Return how often both answers are right, where there are labels, and how often they differ."""
        if self.answer is None:
            return None
        floats, integers = (np.concatenate(parts) for parts in self.answers)
        found: dict[str, Any] = {
            "readout": self.answer.readout, "read": READ_WORDS[FITNESS[self.answer.fitness]], "n": len(floats),
            "differ": int(np.count_nonzero(floats != integers)),
            "predictions": {"float": floats.tolist(), "integer": integers.tolist()},
            "n_labelled": 0, "float": None, "integer": None, "only_float_right": None, "only_integer_right": None,
        }  # fmt: skip
        if labels is not None:
            wanted = np.asarray(labels, np.int64)
            known = wanted >= 0
            right = [(answers == wanted)[known] for answers in (floats, integers)]
            if known.any():
                found |= {
                    "n_labelled": int(known.sum()), "float": float(right[0].mean()), "integer": float(right[1].mean()),
                    "only_float_right": int(np.count_nonzero(right[0] & ~right[1])),
                    "only_integer_right": int(np.count_nonzero(right[1] & ~right[0])),
                }  # fmt: skip
        return found


class Layer:
    """Sums of one group."""

    def __init__(self, group: CubaLIF) -> None:
        self.group = group
        self.spikes = np.zeros((2, group.n), np.int64)
        self.both, self.either = 0, 0
        self.first: tuple[int, int, int, int, int] | None = None  # step, sample, neuron, and what both sent
        self.first_voltages: tuple[float, float] | None = None
        self._described: tuple[int, int, int, int, int] | None = None
        self.diverged: list[int] = []  # the step, of each sample that differs
        self.error, self.u_max, self.v_max = (np.zeros(group.n) for _ in range(3))
        self.compared, self.longest, self.most_at_once, self.most = 0, 0, 0.0, 0.0

    def add(self, first: int, floats: npt.NDArray[np.int8], integers: npt.NDArray[np.int8]) -> Ints:
        """Add what was sent, (n_samples, n_steps, n); return the first step that differs by sample, n_steps for none."""
        fired, held = floats != 0, integers != 0
        self.spikes[0] += fired.sum(axis=(0, 1))
        self.spikes[1] += held.sum(axis=(0, 1))
        self.both += int(np.count_nonzero(fired & held))
        self.either += int(np.count_nonzero(fired | held))
        differs = (floats != integers).any(axis=2)
        begun = np.where(differs.any(axis=1), differs.argmax(axis=1), floats.shape[1])
        self.diverged += begun[begun < floats.shape[1]].tolist()
        if len(begun) and (earliest := int(begun.min())) < floats.shape[1]:
            sample = int(begun.argmin())
            neuron = int((floats[sample, earliest] != integers[sample, earliest]).argmax())
            sent = int(floats[sample, earliest, neuron]), int(integers[sample, earliest, neuron])
            if self.first is None or (earliest, first + sample) < self.first[:2]:
                self.first = (earliest, first + sample, neuron, *sent)
        return np.asarray(begun, np.int64)

    def add_voltages(self, v: Floats, held: Floats, alike: Ints, u: Floats | None, arrivals: Arrivals) -> None:
        """Compare voltages up to step `alike` of each sample, (n_samples,), and keep what bounds their difference."""
        until = np.arange(v.shape[1]) <= alike[:, None]
        if not until.any():
            return
        outside = ~until[:, :, None]

        def largest(values: Floats, so_far: Floats) -> Floats:
            return np.asarray(np.maximum(so_far, np.abs(np.where(outside, 0.0, values)).max(axis=(0, 1))))

        self.error = largest(v - held, self.error)
        self.v_max = largest(v, self.v_max)
        self.u_max = self.u_max if u is None else largest(u, self.u_max)
        self.compared += int(until.sum())
        self.longest = max(self.longest, int(until.sum(axis=1).max()))
        self.most_at_once = max(self.most_at_once, float(arrivals.each[until].max()))
        self.most = max(self.most, float(arrivals.so_far[until].max()))

    def describe(self, first: int, v: Floats, held: Floats) -> None:
        """Keep the voltages at the first difference, where it is in this block."""
        if self.first is not None and self.first != self._described:
            step, sample, neuron = self.first[:3]
            self.first_voltages = (float(v[sample - first, step, neuron]), float(held[sample - first, step, neuron]))
            self._described = self.first

    def to_dict(self, n_samples: int, n_steps: int) -> dict[str, Any]:
        """Return plain values; rates are of a neuron and step."""
        per = max(1, n_samples * n_steps)
        rates = [float(spikes.mean()) / per for spikes in self.spikes]
        shown = np.unique(np.linspace(0, self.group.n - 1, min(self.group.n, SHOWN_NEURONS)).astype(np.int64))
        divergence = None
        if self.first is not None:
            step, sample, neuron, wanted, got = self.first
            threshold = float(np.broadcast_to(self.group.v_threshold, self.group.n)[neuron])
            divergence = {
                "sample": sample, "step": step, "neuron": neuron, "float": wanted, "integer": got,
                "v_float": None, "v_integer": None, "v_threshold": threshold if np.isfinite(threshold) else None,
                "samples": len(self.diverged), "median_step": float(np.median(self.diverged)),
            }  # fmt: skip
            if self.first_voltages is not None:
                divergence |= {"v_float": self.first_voltages[0], "v_integer": self.first_voltages[1]}
        return {
            "rates": {
                "float": rates[0], "integer": rates[1], "ratio": rates[1] / rates[0] if rates[0] else None,
                "correlation": _correlation(*self.spikes), "shared": self.both / self.either if self.either else None,
                "neurons": {"index": shown.tolist(), "float": self.spikes[0, shown].tolist(),
                            "integer": self.spikes[1, shown].tolist()},
            },
            "divergence": divergence,
            "voltage": None if not self.compared else {
                "largest_error": float(self.error.max()), "steps": self.compared, "bound": None, "holds": None,
            },
        }  # fmt: skip


def compare_runs(
    network: Network, quantized: Quantized, events: Events, n_steps: int | None, *, answer: Answer | None,
    decay: Decay, backend: str = "simulator", arithmetic: str = DEFAULT_ARITHMETIC, threads: int = 1,
    on_progress: OnProgress | None = None,
) -> Comparison:  # fmt: skip
    """Run both forms of a network on the same events; parameters as in `neurosim.studies.quanterror.quantisation_report`."""
    if events.n_samples < 1:
        raise DataError("events: no sample to compare floats and integers on; give at least one")
    comparison = Comparison(network, quantized, answer, decay)
    comparison.run(events, n_steps, backend, arithmetic, threads, on_progress)
    return comparison


def raster(result: RunResult, name: str, shape: tuple[int, ...], graded: bool) -> npt.NDArray[np.int8]:
    """Return the messages of a group, (n_samples, n_steps, n); 1 for each where their values mean nothing in floats."""
    train, found = result.spikes[name], np.zeros(shape, np.int8)
    found[train.sample, train.step, train.neuron] = train.value if graded and train.value is not None else 1
    return found


def _integers(runner: Runner, events: Events, first: int, n: int, n_steps: int | None) -> RunResult:
    return runner.run(events.take(np.arange(first, first + n)), n_steps)


def _classes(answer: Answer, spikes: npt.NDArray[np.bool_], voltages: npt.NDArray[Any] | None) -> Ints:
    """Return the class of each sample, the first among equals."""
    kind = FITNESS[answer.fitness]
    if kind == FIT_LIKELIHOOD:
        assert voltages is not None
        return np.asarray(voltages[:, -1].argmax(axis=1), np.int64)
    if kind == FIT_COUNT:
        return np.asarray(spikes.sum(axis=1).argmax(axis=1), np.int64)
    left = np.where(spikes.any(axis=1), spikes.shape[1] - spikes.argmax(axis=1), 0)
    return np.asarray(left.argmax(axis=1), np.int64)


def _correlation(x: Ints, y: Ints) -> float | None:
    """Pearson's, over neurons; None where one of the two is the same everywhere."""
    if len(x) < 2 or not np.ptp(x) or not np.ptp(y):
        return None
    return float(np.corrcoef(x, y)[0, 1])


def largest_fan_in(connection: AnyConnection) -> int:
    """Return how many synapses of a float connection lead to one neuron, at most."""
    assert isinstance(connection, Connection)
    if isinstance(connection, SparseConnection):
        return int(np.bincount(np.asarray(connection.row), minlength=1).max())
    if isinstance(connection, ConvConnection):
        return int(np.prod(np.shape(connection.weights)[1:]))
    return connection.shape[1]


def _ancestors(network: Network) -> dict[str, set[str]]:
    """Return from which groups spikes reach each group, over any number of connections."""
    found = {group.name: {c.source for c in network.connections if c.target == group.name} for group in network.groups}
    changed = True
    while changed:
        changed = False
        for sources in found.values():
            more = set().union(*(found[source] for source in sources)) - sources if sources else set()
            if more:
                sources |= more
                changed = True
    return found
