"""How much memory does it take, and what of it is the learner's?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.measure import Cell, Options, Table, run_python
from benchmarks.time_population import Problem, demo_problem, large_problem
from neurosim.codes import FIRST_FACTOR, SOURCE, TARGET
from neurosim.compile_network import compile as compile_network
from neurosim.layerplan import WORD, lay_lanes
from neurosim.learning.build import READOUT
from neurosim.learning.scratch import make_learn_scratch, make_terms
from neurosim.learnplan import initial_weights, make_plan
from neurosim.network import LIF, Dense, Input, Network

#: Ends every measured program. Linux keeps the peak of this process alone in VmHWM; ru_maxrss begins with its parent's.
PEAK = """
import sys
from pathlib import Path
status = Path("/proc/self/status")
if status.exists():
    found = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM")]
    print(1024 * int(found[0]))
else:
    import resource
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
"""

NETWORK = """
from benchmarks.networks import recurrent
from neurosim.backend import get_backend
workload = recurrent({n}, {n_synapses}, 100, {seed})
with get_backend("simulator").open(workload.program, threads=1) as runner:
    runner.run(workload.events)
"""

DEMO = """
import tempfile
from neurosim.config import TrainConfig
from neurosim.experiment import train_model
from neurosim.runfolder import RunFolder
with tempfile.TemporaryDirectory() as folder:
    train_model(TrainConfig(seed={seed}, epochs=1), RunFolder.create(folder + "/run"), threads=2)
"""


#: Prints the resident bytes before a large network is described, and with it ready and run; Linux only.
RESIDENT = """
import gc
from pathlib import Path
from benchmarks.networks import recurrent
from neurosim.backend import get_backend
def resident():
    gc.collect()
    status = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in status if line.startswith("VmRSS")))
small = recurrent(100, 1_000, 2, {seed})
get_backend("simulator").open(small.program, threads=1).run(small.events)
before = resident()
workload = recurrent({n}, {n_synapses}, 100, {seed})
runner = get_backend("simulator").open(workload.program, threads=1)
result = runner.run(workload.events)
print(before, resident())
"""


def tables(options: Options) -> list[Table]:
    """Measure whole processes, and add up the learner's arrays."""
    return [_processes(options), *_resident(options), _learner(options), _beyond(options)]


def _resident(options: Options) -> list[Table]:
    """Measure what stays in memory of a network, its program and its state."""
    if not Path("/proc/self/status").exists():
        return []
    rows: list[list[Cell]] = []
    for n, n_synapses in ((1_000, 20_000),) if options.quick else ((10_000, 1_000_000), (100_000, 10_000_000)):
        program = RESIDENT.format(n=n, n_synapses=n_synapses, seed=options.seed)
        before, after = (int(part) for part in run_python(["-c", program])[1].split()[-2:])
        rows.append([
            f"{n:,} neurons, {n_synapses:,} synapses", before / 2**20, after / 2**20, (after - before) / 2**20,
            4 * n_synapses / 2**20,
        ])  # fmt: skip
    columns = ("network", "MiB before", "MiB with it", "growth", "of which words of synapses")
    note = (
        "Resident set of a process that has imported neurosim and run 100 neurons, and the same with description, program, "
        "runner, state and result of a large network in memory, after 100 steps."
    )
    return [Table("Memory of a network", columns, rows, note)]


def _processes(options: Options) -> Table:
    n, n_synapses = (1_000, 20_000) if options.quick else (10_000, 1_000_000)
    large = NETWORK.format(n=n, n_synapses=n_synapses, seed=options.seed)
    programs = {
        "python, doing nothing": "",
        "import neurosim": "import neurosim",
        "import the kernels": "import neurosim.kernels.run",
        "run 100 neurons, 1,000 synapses": NETWORK.format(n=100, n_synapses=1_000, seed=options.seed),
        f"run {n:,} neurons, {n_synapses:,} synapses": large,
    }
    if not options.quick:
        programs["demo, 1 epoch, 2 threads, with report"] = DEMO.format(seed=options.seed)
    for program in programs.values():
        run_python(["-c", program])  # with warm caches, so that no compiler is in the memory
    rows: list[list[Cell]] = [
        [what, int(run_python(["-c", program + PEAK])[1].split()[-1]) / 2**20] for what, program in programs.items()
    ]
    note = "Largest resident set of a process of its own, kernels compiled before. Building the network is included."
    return Table("Peak memory", ("what", "MiB"), rows, note)


def _learner(options: Options) -> Table:
    rows = [
        row
        for problem in (demo_problem(options.seed), large_problem(options.seed))
        for rank in (1, 4)
        for row in learner_rows(problem, rank)
    ]
    columns = (
        "network", "rank", "layer", "weights (m n)", "bytes of weights", "bytes of votes, per sample",
        "bytes of perturbation, per thread", "r (m + n)", "bytes per r (m + n)",
    )  # fmt: skip
    note = (
        "From the arrays that the learner allocates. Weights: the chip's int8 and, in 32 bits, with their residual "
        "bits. Votes: the factors before and after the synapses that they are made of, kept for the samples of a "
        "generation. Perturbation: pre and post factors, traces, near flags, local votes and the measured response (one "
        "column per class). Both grow with r (m + n), m rounded up to 64; neither noise nor votes are ever stored as a "
        "matrix of m x n, whatever the number of pairs."
    )
    return Table("Memory of the learner", columns, rows, note)


def _beyond(options: Options) -> Table:
    """Add up all that a learner of one thread allocates beyond the weights, for sizes, ranks, pairs and factors."""
    rows: list[list[Cell]] = []
    for factor in ("trace", "random", "full"):
        form = "response" if factor == "trace" else "scalar"
        for hidden in (64, 256) if options.quick else (256, 1024, 4096):
            for rank in (1,) if factor.startswith("full") else (1, 4):
                for n_pairs in (1, 64):
                    size = 784 + 2 * hidden + 10  # r (m + n) of both layers, r = 1
                    factors, votes, rest = beyond_weights(hidden, form, factor, rank, n_pairs)
                    weights = (784 + 10) * hidden
                    rows.append([
                        factor, hidden, rank, n_pairs, weights, factors + votes, factors, votes, rest,
                        (factors + votes) / (rank * size), (factors + votes) / weights,
                    ])  # fmt: skip
    columns = (
        "factor", "hidden", "rank", "pairs", "weights (m n)", "bytes of learning", "factors and responses", "votes of a sample",
        "currents and spikes of a run", "bytes per r (m + n)", "bytes per weight",
    )  # fmt: skip
    note = (
        "784 inputs, hidden neurons, 10 classes, 10 steps; sizes of the arrays that one thread and the votes of one sample take, weights and "
        "their residuals left out. Factors and responses: LearnScratch and what remembers the response. Votes of a sample: the terms "
        "that its votes are made of, or with full rank a sum for each weight. With trace the bytes do not depend on the pairs and grow with "
        "r (m + n); with random (and gaussian) each pair of a generation leaves a term; full keeps a draw and a sum for each weight. "
        "Currents and spikes of a run grow with steps times neurons, whatever the rule."
    )
    return Table("Learning memory beyond the weights", columns, rows, note)


#: Arrays of `LearnScratch` that running a network would need as well.
RUN = ("base", "acc", "noise", "full_base", "spikes", "n_spikes", "fired64", "fired", "u", "last_v", "total", "sent")
SAME_MEMORY = ("signs", "fired", "close")  # views of others


def beyond_weights(hidden: int, form: str, factor: str, rank: int, n_pairs: int) -> tuple[int, int, int]:
    """Return bytes of factors and responses, of the votes of a sample, and of running, of 784-hidden-10."""
    weights = np.zeros((hidden, 784), np.int64), np.zeros((10, hidden), np.int64)
    network = Network(
        (Input("input", 784), LIF("hidden", hidden, 4095, 128, 1000), LIF(READOUT, 10, 4095, 0, 131071)),
        (Dense("input", "hidden", weights[0], plastic=True), Dense("hidden", READOUT, weights[1], plastic=True)),
    )
    program = compile_network(network, "unlimited")
    plan = make_plan(
        program,
        READOUT,
        form=form,
        factor=factor,
        rank=rank,
        n_pairs=n_pairs,
        n_steps=10,
        error_bits=7,
        residual_bits=8,
    )
    lanes = lay_lanes(program)
    work, terms = make_learn_scratch(program, plan, lanes), make_terms(plan, lanes, 1)
    sizes = {name: array.nbytes for name, array in work._asdict().items() if name not in SAME_MEMORY}
    summed = sizes.pop("votes", 0)
    rest = sum(n_bytes for name, n_bytes in sizes.items() if name in RUN)
    response = rank * 10 * network.n_neurons * (8 + 4) if form == "response" else 0  # Trainer.accumulated and response
    return sum(sizes.values()) - rest + response, terms.pre.nbytes + terms.post.nbytes + summed, rest


def learner_rows(problem: Problem, rank: int) -> list[list[Cell]]:
    """Return the bytes of each plastic connection, computed from the learner's arrays."""
    program = problem.program
    plan = make_plan(
        program, READOUT, form="response", factor="trace", rank=rank, n_pairs=1, n_steps=problem.n_steps, error_bits=7,
        residual_bits=8,
    )  # fmt: skip
    lanes, full = lay_lanes(program), initial_weights(program, plan)
    work, terms = make_learn_scratch(program, plan, lanes), make_terms(plan, lanes, 1)
    rows: list[list[Cell]] = []
    for c, index in enumerate(plan.connections):
        connection = program.network.connections[index]
        m, n = connection.shape
        source, target = (
            slice(int(lanes.first[group]), int(lanes.first[group]) + -(-size // WORD) * WORD)
            for group, size in zip(program.arrays.conn[index, [SOURCE, TARGET]], (n, m), strict=True)
        )
        words = slice(target.start // WORD, target.stop // WORD)
        neurons = slice(program.network.offsets[connection.target], program.network.offsets[connection.target] + m)
        factors = slice(int(plan.plastic[c, FIRST_FACTOR]), int(plan.plastic[c + 1, FIRST_FACTOR]))
        pre: list[npt.NDArray[Any]] = [work.factor_b[:, factors], work.trace[:, source]]
        post: list[npt.NDArray[Any]] = [work.factor_a[:, target], work.signs64[:, words], work.credit[:, target]]
        post += [work.near[:, words], work.close8[:, target], work.measured[:, :, neurons]]
        votes: list[npt.NDArray[Any]] = [terms.pre[:, :, factors], terms.post[:, :, target]]
        weights = full[plan.votes_of(c)]
        n_bytes, n_bytes_votes = sum(part.nbytes for part in pre + post), sum(part.nbytes for part in votes)
        n_bytes_weights = weights.nbytes + weights.size * np.dtype(np.int8).itemsize
        rows.append([
            problem.name, rank, connection.name, weights.size, n_bytes_weights,
            n_bytes_votes, n_bytes, rank * (m + n), n_bytes / (rank * (m + n)),
        ])  # fmt: skip
    return rows
