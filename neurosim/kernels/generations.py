"""Run generation after generation: evaluate, update, remember; the threads wait for each other in between."""

from neurosim.codes import FIRST_FACTOR, FORM_RESPONSE
from neurosim.kernels.barrier import wait_for_all
from neurosim.kernels.jit import jit
from neurosim.kernels.learn import learn_samples
from neurosim.kernels.response import remember
from neurosim.kernels.weights import update_rows


@jit
def run_generations(thread, n_threads, phases, generation_pass, aims, arrived, p, x, s, w, plan, scales, response,
                    accumulated, measured, memory, bits, ids, event_start, event_neuron, n_event_steps, keys, exp2_table,
                    log2_table, normal, pre, post, votes, full, sizes, step_shift, rounding_keys, power, power_memory, age,
                    chance, averages, totals, lists,
                    predictions, statistics, saturated, written, counts, k=None, m=None, shared=None):  # fmt: skip
    """Run one thread's part of some generations; arguments as in `learn_samples`, `update_rows` and `remember`, and:

    Parameters
    ----------
    thread, n_threads : int
        The thread takes a block of the samples, then a block of the rows of weights.
    phases : int
        Bit 0: evaluate; bit 1: update, and remember the response. Only both together may be more than one generation.
    arrived : (1,) int64
        Zero; see `neurosim.kernels.barrier`.
    measured : (n_threads, R, C, N) int64
        Of each thread; ``w.measured`` is the thread's own.
    ids : (n_generations, B) int64
    keys, rounding_keys : (n_generations,) uint64
    votes : (n_threads, W) int32
        Of each thread; ``w.votes`` is the thread's own. (0, 0) where votes are kept in terms.
    sizes : (n_generations,) int64
        Steps.
    age : int
        Of the power, in the first generation.
    predictions : (n_generations, B, W) int64
    statistics : (n_generations, n_threads, 5, max(G, 5)) int64
        Added to.
    saturated : (n_generations, n_threads) int64
        Written: weights that met the end of their range.
    written, counts : (n_generations, n_threads, rows, N_COUNTERS) int64
        Added to: operations of the updates, and of all else.
    shared : (n_threads, S) int32 or None
        Of each thread; ``w.shared`` is the thread's own. With links, only one phase of one generation: in between, weights
        are brought into their formats.
    """
    n_samples = ids.shape[1]
    n_rows = plan.plastic[len(plan.plastic) - 1, FIRST_FACTOR]
    for g in range(len(ids)):
        if phases & 1:
            w.measured[:] = 0
            w.votes[:] = 0
            w.shared[:] = 0
            w.neuron_votes[:] = 0
            w.neuron_squares[:] = 0
            learn_samples(
                p, x, s, w, plan, scales, response, ids[g], aims, generation_pass, event_start, event_neuron, n_event_steps,
                n_samples * thread // n_threads, n_samples * (thread + 1) // n_threads, keys[g], exp2_table, log2_table,
                normal, pre, post, predictions[g], statistics[g, thread],
                counts[g, thread], k, m,
            )  # fmt: skip
        if phases == 3:
            wait_for_all(arrived, n_threads, 2 * g + 1)
        if phases & 2:
            saturated[g, thread] = update_rows(
                p, x, plan, pre, post, votes, n_rows * thread // n_threads, n_rows * (thread + 1) // n_threads, full,
                sizes[g], step_shift, rounding_keys[g], power, power_memory, age + g, chance,
                averages, totals, lists, written[g, thread], k, shared,
            )  # fmt: skip
            if thread == 0 and plan.form == FORM_RESPONSE:
                for other in range(1, n_threads):
                    add_into(measured[0], measured[other])
                remember(p, plan, measured[0], accumulated, response, memory, bits)
        if phases == 3:
            wait_for_all(arrived, n_threads, 2 * g + 2)


@jit
def add_into(target, source):
    """Add element by element: (R, C, N) int64."""
    flat, other = target.reshape(target.size), source.reshape(source.size)
    for k in range(len(flat)):
        flat[k] += other[k]
