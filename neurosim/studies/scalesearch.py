"""Choose the scale of each group on samples: the one whose integers do most nearly what the floats do."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.backend import get_backend
from neurosim.compile_network import compile as compile_network
from neurosim.decays import Decay
from neurosim.errors import ConfigError, DataError, QuantizationError
from neurosim.events import Events, events_from_dense
from neurosim.fixedpoint import INPUT_SHIFT, lost_weight_bits
from neurosim.floatsim import FloatSimulator
from neurosim.network import AnyConnection, Connection, ConvConnection, CubaLIF, Group, Input, Network, Probe
from neurosim.quantize import quantize
from neurosim.quantized import Quantized, weight_scale
from neurosim.scale import ScaleForm, largest_weight, needed_sign_mode

Messages = npt.NDArray[Any]

HALVES = tuple(range(-2, 9))  # candidates are S * 2**(k / 2): from half to sixteen times what `quantize` takes
WINDOWS = 8  # of time, in which spikes are counted
MAX_BYTES = 1 << 30  # of the spikes of all samples
#: Called before each candidate: the group, and how many candidates are done and to do.
OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Candidate:
    """A scale that was tried.

    Parameters
    ----------
    group : str
    scale : float
        S, chip weight units per float unit.
    factor : float
        S over that of `quantize`.
    clips : bool
        Weights keep the exponents that `quantize` gives them, so that the largest are clipped. Otherwise exponents grow with S.
    n_clipped : int
        Weights clipped.
    error : float or None
        How far the integers are from the floats, see `search_scales`; None where a register cannot hold this scale.
    """

    group: str
    scale: float
    factor: float
    clips: bool
    n_clipped: int = 0
    error: float | None = None


@dataclass(frozen=True, eq=False)
class ScaleSearch:
    """What a search found; ``quantize(found.network, scales=found.scales)`` gives the integers.

    Parameters
    ----------
    network : Network
        In floats, with weights clipped where that is better.
    scales : dict of str to float
        S of each float group.
    tried : tuple of Candidate
    """

    network: Network
    scales: dict[str, float]
    tried: tuple[Candidate, ...]

    def chosen(self, group: str) -> Candidate:
        """Return the candidate that was taken for a group."""
        return min((c for c in self.tried if c.group == group and c.error is not None), key=_preference)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values: by group the scale, its factor and error, that of `quantize` itself, and all candidates."""
        groups = {}
        for name in self.scales:
            mine, best = [c for c in self.tried if c.group == name], self.chosen(name)
            groups[name] = {
                "scale": best.scale, "factor": best.factor, "clipped": best.n_clipped, "error": best.error,
                "error_before": next(c.error for c in mine if c.factor == 1.0),
                "tried": [{"factor": c.factor, "clips": c.clips, "clipped": c.n_clipped, "error": c.error} for c in mine],
            }  # fmt: skip
        return {"groups": groups}


def search_scales(
    network: Network, events: Events, *, decay: Decay = "exact", scale: ScaleForm = "free", headroom: float = 4.0,
    n_steps: int | None = None, halves: Sequence[int] = HALVES, on_progress: OnProgress | None = None,
) -> ScaleSearch:  # fmt: skip
    """Choose S of each float group on samples, group after group along the network.

    A group runs alone on the integer spikes of those before it, at scales already chosen, and is compared with the same group
    in the float run of the whole network. Sources that come later in a cycle send their float spikes.

    Parameters
    ----------
    network : Network
        In floats.
    events : Events
        Samples for calibration, some dozen; other samples should judge the result.
    decay, scale, headroom
        As in `neurosim.quantize.quantize`; with scale "power-of-two" only whole powers of two are tried.
    n_steps : int, optional
        ``events.n_steps`` by default.
    halves : sequence of int
        Candidates are ``S * 2**(k / 2)`` for each k, S from `quantize`; 0 is always one of them. Each k above 0 is tried with
        exponents that grow, and with weights clipped at the exponents that `quantize` takes.
    on_progress : callable, optional

    Returns
    -------
    ScaleSearch

    Notes
    -----
    The error of a group that fires is ``sum (n - m)**2 / sum n**2`` with n and m the spikes (of "ternary" and "multispike": sums
    of messages) in floats and in integers, of each sample and neuron in eight windows of time. That of a readout is the same
    with its last voltages, less their mean over the group. Of equal errors the scale nearest to S wins. Everything is
    deterministic; the simulator runs the integers.

    Raises
    ------
    DataError
        Without samples, or where their spikes would take more than 1 GiB.
    """
    _check(network, events, n_steps, halves)
    if scale == "power-of-two":
        halves = [k for k in halves if k % 2 == 0]
    steps = events.n_steps if n_steps is None else n_steps
    floats = _run_floats(network, events, steps, decay)
    base = quantize(network, headroom, decay=decay, scale=scale)
    simulator = FloatSimulator(network, decay=decay)
    known = {g.name: floats.sent[g.name] for g in network.groups if isinstance(g, Input)}
    scales: dict[str, float] = {}
    limits: dict[str, _Limit] = {}
    tried: list[Candidate] = []
    names = [name for members in simulator.order for name in members if name in simulator.dynamics]
    todo = {name: _candidates(network, name, base.scales[f"group/{name}"], halves) for name in names}
    n_done, n_tries = 0, sum(map(len, todo.values()))
    for name, candidates in todo.items():
        sources = {**floats.sent, **known}
        part = _part(network, name)
        stimulus = _stimulus(part, sources)
        best: tuple[Candidate, Messages] | None = None
        for candidate in candidates:
            if on_progress is not None:
                on_progress(name, n_done, n_tries)
            n_done += 1
            done, sent = _try(part, candidate, base, stimulus, steps, floats, decay, headroom)
            tried.append(done)
            if sent is not None and (best is None or _preference(done) < _preference(best[0])):
                best = done, sent
        assert best is not None  # the scale of `quantize` itself can be held
        scales[name], known[name] = best[0].scale, best[1]
        if best[0].clips:
            limits |= _limits(part, best[0], base)
    return ScaleSearch(_clipped(network, limits)[0], scales, tuple(tried))


def _check(network: Network, events: Events, n_steps: int | None, halves: Sequence[int]) -> None:
    if events.n_samples < 1:
        raise DataError("events: no sample to search scales on; give at least one")
    if not network.groups or any(not isinstance(k, (int, np.integer)) or abs(k) > 40 for k in halves):
        raise ConfigError(f"halves: {tuple(halves)!r} are not integers in -40..40; 2 is a factor of two")
    size = events.n_samples * (events.n_steps if n_steps is None else n_steps) * network.n_neurons
    if size > MAX_BYTES:
        raise DataError(
            f"events: the spikes of {events.n_samples} samples would take {size >> 20} MiB, the limit is {MAX_BYTES >> 20}; "
            "some dozen samples are enough to choose scales"
        )


@dataclass(frozen=True, eq=False)
class _Floats:
    """What the float run sent, (n_samples, n_steps, n), and the last voltages of readouts, (n_samples, n)."""

    sent: dict[str, Messages]
    last: dict[str, npt.NDArray[np.float64]]


def _run_floats(network: Network, events: Events, n_steps: int, decay: Decay) -> _Floats:
    readouts = [g.name for g in network.groups if isinstance(g, CubaLIF) and not _fires(g)]
    simulator = FloatSimulator(network, decay=decay, record=[(name, "v") for name in readouts])
    parts = [part for _, part in simulator.blocks(events, n_steps)]
    sent = {
        group.name: np.concatenate([part.values.get(group.name, part.spikes[group.name]) for part in parts])
        for group in network.groups
    }
    last = {name: np.concatenate([part.states[name, "v"][:, -1] for part in parts]) for name in readouts}
    return _Floats(sent, last)


def _fires(group: CubaLIF) -> bool:
    return bool(np.any(np.isfinite(group.each("v_threshold"))))


def _candidates(network: Network, name: str, scale: float, halves: Sequence[int]) -> list[Candidate]:
    """Return what to try; S itself first."""
    found = [Candidate(name, scale, 1.0, False)]
    clipping = any(c.target == name and _has_exponent(c) for c in network.connections)
    for k in sorted(set(halves) - {0}):
        factor = 2.0 ** (k / 2)
        found += [Candidate(name, scale * factor, factor, clips) for clips in (False, True)[: 1 + (clipping and k > 0)]]
    return found


def _preference(candidate: Candidate) -> tuple[float, float, bool, float]:
    """Order candidates: the smallest error, then the factor nearest to 1."""
    assert candidate.error is not None
    return candidate.error, abs(math.log2(candidate.factor)), candidate.clips, candidate.factor


def _part(network: Network, name: str) -> Network:
    """Return one group with everything that leads to it; its sources are inputs."""
    incoming = [c for c in network.connections if c.target == name]
    sources = list(dict.fromkeys(c.source for c in incoming if c.source != name))
    groups: list[Group] = [Input(source, network.group(source).n) for source in sources]
    return Network([*groups, network.group(name)], incoming, dt=network.dt, name=f"{network.name}: {name}")


def _stimulus(part: Network, sent: dict[str, Messages]) -> Events | None:
    """Return the spikes of a part's sources as its input; None where it has none."""
    parts = [sent[group.name] for group in part.ordered_groups if isinstance(group, Input)]
    if not parts:
        return None
    graded = any(array.dtype != np.bool_ for array in parts)
    return events_from_dense(np.concatenate(parts, axis=2), graded=graded)


class _Limit(NamedTuple):
    """Largest weight that a connection holds at a scale with the exponent of `quantize`, and half a step, in float units."""

    largest: float
    half: float


def _limits(part: Network, candidate: Candidate, base: Quantized) -> dict[str, _Limit]:
    """Return the limits of the connections whose weights have exponents; `quantize` clips those of convolutions itself."""
    found = {}
    for connection in part.connections:
        if isinstance(connection, Connection) and _has_exponent(connection):
            unit = float(np.min(weight_scale(base, connection.name))) * candidate.factor
            step = 1 << lost_weight_bits(connection.num_weight_bits, needed_sign_mode(connection))
            # The same below zero, where a format of both signs has one step more: that step would raise the exponent.
            found[connection.name] = _Limit(largest_weight(connection) / unit, 0.5 * step / unit)
    return found


def _has_exponent(connection: AnyConnection) -> bool:
    return isinstance(connection, Connection) and not isinstance(connection, ConvConnection) and not connection.plastic


def _clipped(network: Network, limits: dict[str, _Limit]) -> tuple[Network, int]:
    """Return a network whose weights stay within limits, and how many of them more than rounding changes."""
    connections: list[AnyConnection] = []
    n_clipped = 0
    for connection in network.connections:
        limit = limits.get(connection.name)
        if limit is not None and isinstance(connection, Connection):
            weights = np.asarray(connection.weights)
            beyond = np.abs(weights) > limit.largest + limit.half
            n_clipped += int(np.count_nonzero(beyond))
            if beyond.any():
                connection = replace(connection, weights=np.clip(weights, -limit.largest, limit.largest))
        connections.append(connection)
    return replace(network, connections=tuple(connections)), n_clipped


def _try(
    part: Network, candidate: Candidate, base: Quantized, stimulus: Events | None, n_steps: int, floats: _Floats,
    decay: Decay, headroom: float,
) -> tuple[Candidate, Messages | None]:  # fmt: skip
    """Run a group at a scale; return the candidate with its error, and what the group sent."""
    name = candidate.group
    wanted = floats.sent[name]
    network, n_clipped = _clipped(part, _limits(part, candidate, base) if candidate.clips else {})
    try:
        quantized = quantize(network, headroom, decay=decay, scales={name: candidate.scale})
    except QuantizationError:  # a register cannot hold this scale, which the result says
        return candidate, None
    n_clipped += sum(int(note.value or 0) for note in quantized.notes if note.quantity == "weights_clipped")
    readout = name in floats.last
    probes = [Probe(name)] + [Probe(name, "v")] * readout
    if stimulus is None:
        stimulus = events_from_dense(np.zeros((*wanted.shape[:2], 0), np.bool_))
    with get_backend().open(compile_network(quantized.network.with_probes(probes), "unlimited")) as runner:
        result = runner.run(stimulus, n_steps)
    train, sent = result.spikes[name], np.zeros_like(wanted)
    sent[train.sample, train.step, train.neuron] = 1 if wanted.dtype == np.bool_ or train.value is None else train.value
    if readout:
        unit = candidate.scale * 2.0**INPUT_SHIFT
        error = _relative(_centred(floats.last[name]), _centred(result.states[name, "v"][:, -1] / unit))
    else:
        error = _relative(_windows(wanted), _windows(sent))
    return replace(candidate, n_clipped=n_clipped, error=error), sent


def _windows(sent: Messages) -> npt.NDArray[np.float64]:
    """Return sums of messages in windows of time, (n_samples, windows, n)."""
    ends = np.linspace(0, sent.shape[1], min(WINDOWS, sent.shape[1]) + 1).astype(np.int64)
    return np.asarray(np.add.reduceat(sent, ends[:-1], axis=1, dtype=np.int64), np.float64)


def _centred(last: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return voltages less their mean over the group, which no answer depends on; those of one neuron as they are."""
    return last - last.mean(axis=1, keepdims=True) if last.shape[1] > 1 else last


def _relative(wanted: npt.NDArray[np.float64], found: npt.NDArray[np.float64]) -> float:
    """Return the squared difference over the squared size; where nothing is wanted, the squared size of what came."""
    size = float(np.square(wanted).sum())
    return float(np.square(wanted - found).sum()) / (size or 1.0)
