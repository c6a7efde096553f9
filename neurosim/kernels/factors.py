"""Draw what perturbs: the factors of a pair before and after a synapse, or a number for every synapse."""

import numpy as np

from neurosim.codes import (
    CONNECTION,
    FACTOR_FULL,
    FACTOR_FULL_GAUSSIAN,
    FACTOR_GAUSSIAN,
    FACTOR_TRACE,
    FIRST_FACTOR,
    FIRST_VOTE,
    MODEL,
    MODEL_INPUT,
    PERTURBED,
    SOURCE,
    START,
    STOP,
    TARGET,
)
from neurosim.counters import NOISE_DRAWS
from neurosim.kernels.jit import jit
from neurosim.kernels.layer import spread_bits
from neurosim.kernels.layerwise import window
from neurosim.kernels.neuron_params import draw_always, share_always
from neurosim.kernels.noise import bits, fold
from neurosim.kernels.rows import add_rows8

WORD = 64
BYTES = 8


@jit
def draw_normal(key, table, values):
    """Write integers of normal shape to ``values`` (n,) int8: the entry at byte ``i % 8`` of word ``i // 8``."""
    n = len(values)
    for word in range((n + BYTES - 1) // BYTES):
        r = bits(key, word)
        for i in range(BYTES * word, min(n, BYTES * word + BYTES)):
            values[i] = table[(r >> np.uint64(8 * (i & 7))) & np.uint64(255)]


@jit
def choose_groups(p, w, plan, pair):
    """Mark the groups that a pair perturbs: all, or one after the other. Pairs count through the generation.

    With traces, whose votes are merged, mark as voting what any pair of the sample perturbs; else what this one does.
    """
    n_groups = np.int64(0)
    for group in range(len(p.group)):
        n_groups += plan.group[group, PERTURBED]
    seen = np.int64(0)
    for group in range(len(p.group)):
        w.active[group] = plan.group[group, PERTURBED]
        if plan.one_group and plan.group[group, PERTURBED]:
            w.active[group] = np.int64(seen == pair % n_groups)
            seen += 1
        w.voting[group] = w.active[group] | (w.voting[group] if plan.factor == FACTOR_TRACE else 0)


@jit
def draw_post_factors(p, x, w, plan, pair_key, normal, counts):
    """Draw the post factors of the perturbed groups, for each rank and neuron."""
    if plan.factor >= FACTOR_FULL:
        return
    for group in range(len(p.group)):
        if not w.active[group]:
            continue
        lane, n = x.first[group], p.group[group, STOP] - p.group[group, START]
        n_words = (n + WORD - 1) // WORD
        for rank in range(plan.rank):
            key = fold(fold(pair_key, group), rank)
            if plan.factor == FACTOR_GAUSSIAN:
                draw_normal(key, normal, w.factor_a[rank, lane : lane + n])
                continue
            words = w.signs64[rank, lane // WORD : lane // WORD + n_words]
            for i in range(n_words):
                words[i] = bits(key, i)
            spread_bits(words, n_words, 1, -1, w.factor_a[rank, lane : lane + WORD * n_words])
        counts[group, NOISE_DRAWS] += plan.rank * n


@jit
def draw_pre_factors(p, x, w, plan, pair_key, normal, counts):
    """Set the pre factors: spike counts by window, or drawn numbers where the source fired at all.

    Nothing is drawn for connections whose target the pair leaves alone.
    """
    n_groups = len(p.group)
    for c in range(len(plan.plastic) - 1):
        connection, first = plan.plastic[c, CONNECTION], plan.plastic[c, FIRST_FACTOR]
        source = p.conn[connection, SOURCE]
        lane, n_pre = x.first[source], p.group[source, STOP] - p.group[source, START]
        if plan.factor == FACTOR_TRACE:
            for rank in range(plan.rank):
                factor, trace = w.factor_b[rank, first : first + n_pre], w.trace[rank, lane : lane + n_pre]
                for j in range(n_pre):
                    factor[j] = trace[j]
            continue
        fired = w.fired_sources[first : first + n_pre]  # in any window
        for j in range(n_pre):
            fired[j] = np.uint8(0)
        if not w.active[p.conn[connection, TARGET]]:
            w.factor_b[:, first : first + n_pre] = 0
            continue
        for rank in range(plan.rank):
            trace = w.trace[rank, lane : lane + n_pre]
            for j in range(n_pre):
                fired[j] |= np.uint8(trace[j] != 0)
        if plan.factor >= FACTOR_FULL:
            draw_rows(p, w, plan, c, fold(pair_key, n_groups + connection), normal, fired)
            counts[n_groups + connection, NOISE_DRAWS] += plan.plastic[c + 1, FIRST_VOTE] - plan.plastic[c, FIRST_VOTE]
            continue
        for rank in range(plan.rank):
            key = fold(fold(pair_key, n_groups + connection), rank)
            drawn = w.drawn[: WORD * ((n_pre + WORD - 1) // WORD)]
            if plan.factor == FACTOR_GAUSSIAN:
                draw_normal(key, normal, drawn[:n_pre])
            else:
                n_words = (n_pre + WORD - 1) // WORD
                for i in range(n_words):
                    w.words[i] = bits(key, i)
                spread_bits(w.words, n_words, 1, -1, drawn)
            factor = w.factor_b[rank, first : first + n_pre]
            for j in range(n_pre):
                factor[j] = np.int32(drawn[j]) * np.int32(fired[j])
        counts[n_groups + connection, NOISE_DRAWS] += plan.rank * n_pre
    draw_always(p, x, w, plan, pair_key, normal, counts)


@jit
def draw_rows(p, w, plan, c, key, normal, fired):
    """Draw a number for every synapse of the sources that fired; zero for the others. Full rank needs them all."""
    n_pre = len(fired)
    first = plan.plastic[c, FIRST_VOTE]
    n_post = (plan.plastic[c + 1, FIRST_VOTE] - first) // n_pre
    n_words = (n_post + WORD - 1) // WORD
    for j in range(n_pre):
        row = w.full[first + j * n_post : first + (j + 1) * n_post]
        if fired[j] == 0:
            row[:] = 0
            continue
        stream = fold(key, j)
        if plan.factor == FACTOR_FULL_GAUSSIAN:
            draw_normal(stream, normal, row)
            continue
        for i in range(n_words):
            w.words[i] = bits(stream, i)
        if n_post == WORD * n_words:
            spread_bits(w.words, n_words, 1, -1, row)
        else:  # words end beyond the row
            spread_bits(w.words, n_words, 1, -1, w.drawn)
            for k in range(n_post):
                row[k] = w.drawn[k]


@jit
def share_drive(p, x, w, plan):
    """Sum the pre factors of the input spikes of each step; both members share them, with traces all pairs."""
    w.drive[:] = 0
    w.full_base[:] = 0
    n_lanes = len(x.valid)
    for c in range(len(plan.plastic) - 1):
        connection = plan.plastic[c, CONNECTION]
        source, group = p.conn[connection, SOURCE], p.conn[connection, TARGET]
        perturbed = plan.group[group, PERTURBED] if plan.factor == FACTOR_TRACE else w.active[group]
        if p.group[source, MODEL] != MODEL_INPUT or not perturbed:
            continue
        lane, n_pre = x.first[source], p.group[source, STOP] - p.group[source, START]
        n_post = p.group[group, STOP] - p.group[group, START]
        for t in range(1, plan.n_steps):
            listed, n_spikes = w.spikes[t - 1, lane : lane + n_pre], w.n_spikes[t - 1, source]
            if plan.factor >= FACTOR_FULL:
                here = t * n_lanes + x.first[group]
                base = w.full_base[here : here + n_post]
                add_rows8(w.full, plan.plastic[c, FIRST_VOTE], n_post, listed, n_spikes, 0, 0, base)
                continue
            first_rank = window(t, plan) if plan.factor == FACTOR_TRACE else 0
            last_rank = first_rank + 1 if plan.factor == FACTOR_TRACE else plan.rank
            for rank in range(first_rank, last_rank):
                factor = w.factor_b[rank, plan.plastic[c, FIRST_FACTOR] : plan.plastic[c + 1, FIRST_FACTOR]]
                drive = np.int64(0)
                for i in range(n_spikes):
                    drive += factor[np.uint32(listed[i])]
                w.drive[rank, t, group] += drive
    share_always(p, x, w, plan)
