"""Working memory of learning: of one thread, and what the votes of a generation are made of."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.codes import BLOCK as ROWS
from neurosim.codes import CHUNK, FACTOR_FULL, FACTOR_TRACE, FIRST_FACTOR, START, STOP
from neurosim.layerplan import WORD, Lanes
from neurosim.learnplan import LearnPlan
from neurosim.program import ModelArrays, Program, aligned_copy
from neurosim.scratch import ModelScratch


class LearnScratch(NamedTuple):
    """Working memory of one thread while learning: T steps, L lanes, R ranks, G groups, C classes, F sources."""

    base: npt.NDArray[np.int32]  # (T * L,) what inputs deliver
    acc: npt.NDArray[np.int32]  # (T * L,) what all deliver, to groups that hear neurons
    noise: npt.NDArray[np.int32]  # (T * L,) where the noise is not one amplitude times signs
    full_base: npt.NDArray[np.int32]  # (T * L,) full rank: what inputs add to the noise
    active: npt.NDArray[np.int64]  # (G,) whether the pair perturbs the group
    voting: npt.NDArray[np.int64]  # (G,) whether the term holds local votes of the group
    reach: npt.NDArray[np.int64]  # (G,) bound of what inputs add up to
    amplitude: npt.NDArray[np.int32]  # (T,)
    sign_row: npt.NDArray[np.int64]  # (T,)
    signs64: npt.NDArray[np.uint64]  # (R, L / 64) post factors; a set bit is -1
    signs: npt.NDArray[np.uint16]  # the same memory
    fired64: npt.NDArray[np.uint64]  # (T * L / 64,)
    fired: npt.NDArray[np.uint16]  # the same memory
    close64: npt.NDArray[np.uint64]  # (T * L / 64,)
    close: npt.NDArray[np.uint16]  # the same memory
    near: npt.NDArray[np.uint64]  # (R, L / 64) by window of time
    close8: npt.NDArray[np.int8]  # (R, L)
    u: npt.NDArray[np.int32]  # (L,)
    last_v: npt.NDArray[np.int32]  # (L,)
    counted: npt.NDArray[np.int64]  # (4,)
    input_operations: npt.NDArray[np.int64]  # (connections,) synaptic operations of a sample's input spikes
    spikes: npt.NDArray[np.int32]  # (T, L) who fired, by the first lane of the group
    listed: npt.NDArray[np.int32]  # the same memory in one row
    n_spikes: npt.NDArray[np.int64]  # (T, G)
    numbers: npt.NDArray[np.int64]  # the same memory in one row
    sent: npt.NDArray[np.int64]  # (N,)
    n_fired: npt.NDArray[np.int32]  # (L,) spikes that are not in `sent` yet
    trace: npt.NDArray[np.int32]  # (R, L) spikes
    sums: npt.NDArray[np.int32]  # (R, L) their values
    drive: npt.NDArray[np.int64]  # (R, T, G) pre factors of the input spikes
    factor_a: npt.NDArray[np.int8]  # (R, L) post
    factor_b: npt.NDArray[np.int32]  # (R, F) pre
    fired_sources: npt.NDArray[np.uint8]  # (F,)
    full: npt.NDArray[np.int8]  # (W,) full rank: a draw for every synapse
    votes: npt.NDArray[np.int32]  # (W,) full rank
    shared: npt.NDArray[np.int32]  # (S,) of the kernels of convolutions
    always: npt.NDArray[np.int64]  # (R, G) pre factors of the source that always fires
    always_each: npt.NDArray[np.int8]  # (L,) full rank
    neuron_votes: npt.NDArray[np.int64]  # (n_learned - W,) of biases and thresholds
    neuron_squares: npt.NDArray[np.int64]  # (n_learned - W,) sums of squares of their terms
    words: npt.NDArray[np.uint64]  # a row of hashed bits
    drawn: npt.NDArray[np.int8]  # the same, spread
    credit: npt.NDArray[np.int32]  # (R, L)
    measured: npt.NDArray[np.int64]  # (R, C, N)
    measured32: npt.NDArray[np.int32]  # (R, C, N) what is not in `measured` yet
    bound: npt.NDArray[np.int64]  # (1,) how large that can be
    classes: npt.NDArray[np.int64]  # (2, C) POWERS, ERROR
    z: npt.NDArray[np.int64]  # (W, C) the answer of a run, by window
    plus: npt.NDArray[np.int64]  # (W, C) that of the plus of a pair
    errors: npt.NDArray[np.int64]  # (W, C) of the unperturbed run
    voltage: npt.NDArray[np.int32]  # (T * L,) after every step, or nothing
    imbalance: npt.NDArray[np.int64]  # (1,) sum of positive less negative voltages
    total: npt.NDArray[np.int32]  # (largest group,) sums before their exponent


class UpdateScratch(NamedTuple):
    """Working memory of one thread while it updates a block of rows: the terms that each has."""

    found: npt.NDArray[np.int64]  # (64,)
    starts: npt.NDArray[np.int64]  # (64, 64)
    factors: npt.NDArray[np.int32]  # (64, 64)


def make_update_work(program: Program, plan: LearnPlan | None = None) -> tuple[npt.NDArray[np.int32], UpdateScratch]:
    """Allocate the votes of a block of rows of weights, and what is listed while they are summed up.

    `plan` is needed where not all connections are dense.
    """
    starts = np.zeros(1, np.int64) if plan is None else plan.row_start
    block = int((starts[np.minimum(np.arange(len(starts)) + ROWS, len(starts) - 1)] - starts).max())
    largest = int((program.arrays.group[:, STOP] - program.arrays.group[:, START]).max())
    lists = UpdateScratch(
        np.zeros(ROWS, np.int64), np.zeros((ROWS, CHUNK), np.int64), np.zeros((ROWS, CHUNK), np.int32)
    )
    return _aligned(max(block, ROWS * -(-largest // WORD) * WORD)), lists


def make_learn_scratch(program: Program, plan: LearnPlan, lanes: Lanes) -> LearnScratch:
    """Allocate one thread's working memory: O(T L + R (L + C N)), and for full rank O(W)."""
    n, n_groups, rank, steps = program.network.n_neurons, len(program.group_names), plan.rank, plan.n_steps
    largest = int((program.arrays.group[:, STOP] - program.arrays.group[:, START]).max())
    n_sources = int(plan.plastic[-1, FIRST_FACTOR])
    n_full = plan.n_weights if plan.factor >= FACTOR_FULL else 0
    signs, fired, close = (_words(size) for size in (rank * lanes.n, steps * lanes.n, steps * lanes.n))
    listed, numbers = np.zeros(steps * lanes.n, np.int32), np.zeros(steps * n_groups, np.int64)
    padded = -(-largest // WORD) * WORD
    return LearnScratch(
        base=_aligned(steps * lanes.n),
        acc=_aligned(steps * lanes.n),
        noise=_aligned(steps * lanes.n),
        full_base=_aligned(steps * lanes.n if n_full else 0),
        active=np.zeros(n_groups, np.int64),
        voting=np.zeros(n_groups, np.int64),
        reach=np.zeros(n_groups, np.int64),
        amplitude=np.zeros(steps, np.int32),
        sign_row=np.zeros(steps, np.int64),
        signs64=signs.reshape(rank, -1),
        signs=signs.view(np.uint16),
        fired64=fired,
        fired=fired.view(np.uint16),
        close64=close,
        close=close.view(np.uint16),
        near=np.zeros((rank, lanes.n // WORD), np.uint64),
        close8=np.zeros((rank, lanes.n), np.int8),
        u=_aligned(lanes.n),
        last_v=_aligned(lanes.n),
        counted=np.zeros(4, np.int64),
        input_operations=np.zeros(len(program.arrays.conn), np.int64),
        spikes=listed.reshape(steps, lanes.n),
        listed=listed,
        n_spikes=numbers.reshape(steps, n_groups),
        numbers=numbers,
        sent=np.zeros(n, np.int64),
        n_fired=np.zeros(lanes.n, np.int32),
        trace=np.zeros((rank, lanes.n), np.int32),
        sums=np.zeros((rank, lanes.n), np.int32),
        drive=np.zeros((rank, steps, n_groups), np.int64),
        factor_a=np.zeros((rank, lanes.n), np.int8),
        factor_b=np.zeros((rank, n_sources), np.int32),
        fired_sources=np.zeros(n_sources, np.uint8),
        full=np.zeros(n_full, np.int8),
        votes=np.zeros(n_full, np.int32),
        shared=np.zeros(0, np.int32),
        always=np.zeros((rank, n_groups), np.int64),
        always_each=np.zeros(lanes.n, np.int8),
        neuron_votes=np.zeros(plan.n_learned - plan.n_weights, np.int64),
        neuron_squares=np.zeros(plan.n_learned - plan.n_weights, np.int64),
        words=np.zeros(padded // WORD, np.uint64),
        drawn=np.zeros(padded, np.int8),
        credit=np.zeros((rank, lanes.n), np.int32),
        measured=np.zeros((rank, plan.n_classes, n), np.int64),
        measured32=np.zeros((rank, plan.n_classes, n), np.int32),
        bound=np.zeros(1, np.int64),
        classes=np.zeros((2, plan.n_classes), np.int64),
        z=np.zeros((plan.goal.n_windows, plan.n_classes), np.int64),
        plus=np.zeros((plan.goal.n_windows, plan.n_classes), np.int64),
        errors=np.zeros((plan.goal.n_windows, plan.n_classes), np.int64),
        voltage=_aligned(steps * lanes.n if plan.goal.voltages else 0),
        imbalance=np.zeros(1, np.int64),
        total=np.zeros(largest, np.int32),
    )


class LearnModels(NamedTuple):
    """What a thread needs besides for programs with other models than plain LIF, or with links."""

    arrays: ModelArrays
    work: ModelScratch
    event_value: npt.NDArray[np.int32]  # of each input spike; empty if all are 1


def _aligned(n: int) -> npt.NDArray[np.int32]:
    return aligned_copy(np.zeros(n, np.int32))


def _words(n_lanes: int) -> npt.NDArray[np.uint64]:
    """Return words with a bit for each lane; 16 bits of them can be read for themselves."""
    return aligned_copy(np.zeros(n_lanes // WORD, np.uint64))


class Terms(NamedTuple):
    """What a generation's votes are made of: a synapse's vote is the sum over ranks and terms of pre times post.

    With traces every sample is a term, else every pair: O(R (F + L)) for each. Full rank has no terms, but votes.
    """

    n_samples: int
    pre: npt.NDArray[np.int16]  # (R, n_terms, F and some more zeros)
    post: npt.NDArray[np.int32]  # (R, n_terms, L)


def make_terms(plan: LearnPlan, lanes: Lanes, n_samples: int) -> Terms:
    """Allocate the terms of a generation."""
    per_sample = {FACTOR_TRACE: 1}.get(plan.factor, plan.n_pairs if plan.factor < FACTOR_FULL else 0)
    n_terms = n_samples * per_sample
    return Terms(
        n_samples=n_samples,
        pre=np.zeros((plan.rank, n_terms, int(plan.plastic[-1, FIRST_FACTOR]) + ROWS), np.int16),
        post=np.zeros((plan.rank, n_terms, lanes.n), np.int32),
    )
