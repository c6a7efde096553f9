"""Names and sums of the operations that kernels and twins count, one row per group and connection."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

#: Column of each counted operation in a count matrix. The order is part of the file format.
COUNTERS: tuple[str, ...] = (
    "synaptic_operations",  # connection: one per spike and stored synapse
    "neuron_updates_active",  # group: u, v, input or bias was non-zero before the update
    "neuron_updates_idle",  # group: everything zero, so the update changed nothing
    "spikes",  # group: inputs included
    "messages",  # group: packets to cores other than the sender's, one per target core; from outside for inputs
    "messages_local",  # group: packets to the sender's own core
    "hops_east",  # group: links crossed by those packets towards larger x
    "hops_west",  # group: towards smaller x
    "hops_north",  # group: towards larger y
    "hops_south",  # group: towards smaller y
    "synapse_bits_read",  # group: bits of synapse memory that its spikes make cores read, as the chip packs synapses
    "overflow_accumulator",  # group: sum at the input port beyond 32 bits after the shift by 6
    "overflow_u",  # group: u needed a correction by 2**24
    "saturation_v",  # group: v was clipped at 2**23 - 1
    "noise_draws",  # learning, group or connection: hashed integers drawn
    "perturbations",  # learning, group: noise values added to a current
    "trace_updates",  # learning, group: presynaptic counts incremented or states compared with half the threshold
    "response_updates",  # learning, group: elements of the response matrix touched
    "votes",  # learning, connection: multiply-adds into the vote matrix
    "weight_updates",  # learning, connection: weights written with a new value
    "reward_broadcasts",  # learning, group: scalars sent to all cores of the group (fitness or errors)
)
COLUMN: dict[str, int] = {name: i for i, name in enumerate(COUNTERS)}
N_COUNTERS = len(COUNTERS)

SYNAPTIC_OPERATIONS = COLUMN["synaptic_operations"]
NEURON_UPDATES_ACTIVE = COLUMN["neuron_updates_active"]
NEURON_UPDATES_IDLE = COLUMN["neuron_updates_idle"]
SPIKES = COLUMN["spikes"]
MESSAGES = COLUMN["messages"]
MESSAGES_LOCAL = COLUMN["messages_local"]
OVERFLOW_ACCUMULATOR = COLUMN["overflow_accumulator"]
OVERFLOW_U = COLUMN["overflow_u"]
SATURATION_V = COLUMN["saturation_v"]
NOISE_DRAWS = COLUMN["noise_draws"]
PERTURBATIONS = COLUMN["perturbations"]
TRACE_UPDATES = COLUMN["trace_updates"]
RESPONSE_UPDATES = COLUMN["response_updates"]
VOTES = COLUMN["votes"]
WEIGHT_UPDATES = COLUMN["weight_updates"]
REWARD_BROADCASTS = COLUMN["reward_broadcasts"]

#: What learning adds to running the members.
LEARNING = (
    "noise_draws",
    "perturbations",
    "trace_updates",
    "response_updates",
    "votes",
    "weight_updates",
    "reward_broadcasts",
)

#: Events that lose information; an error in strict mode.
OVERFLOWS = ("overflow_accumulator", "overflow_u", "saturation_v")


@dataclass(frozen=True, eq=False)
class OpCounts:
    """Exact operation counts of a run.

    Parameters
    ----------
    rows : tuple of str
        Names of the groups, then of the connections ("source->target").
    matrix : (n_rows, N_COUNTERS) int64
        One row per name, one column per entry of `COUNTERS`.
    n_samples, n_steps : int
        Samples run, and chip steps summed over samples (and members); each step ends with one barrier.
    kinds : tuple of str
        Kind of each row: "input" for input lines, "" for other groups; for connections "dense", "sparse", "one_to_one"
        or "conv", with " graded" behind it where messages have values. Empty: not known.
    """

    rows: tuple[str, ...]
    matrix: npt.NDArray[np.int64]
    n_samples: int
    n_steps: int
    kinds: tuple[str, ...] = ()

    def total(self, counter: str) -> int:
        """Sum of one counter over all rows."""
        return int(self.matrix[:, COLUMN[counter]].sum())

    def of(self, row: str, counter: str) -> int:
        """One counter of one group or connection."""
        return int(self.matrix[self.rows.index(row), COLUMN[counter]])

    def totals(self) -> dict[str, int]:
        """All counters summed over rows, plus the number of barriers."""
        return {name: self.total(name) for name in COUNTERS} | {"barriers": self.n_steps}

    def by_row(self) -> dict[str, dict[str, int]]:
        """Non-zero counters of each row."""
        return {
            row: {name: int(self.matrix[i, c]) for name, c in COLUMN.items() if self.matrix[i, c]}
            for i, row in enumerate(self.rows)
        }

    def by_kind(self) -> dict[str, int]:
        """Synaptic operations by kind of connection ("dense", "sparse graded", ...), those that occur.

        Examples
        --------
        >>> matrix = np.zeros((2, N_COUNTERS), np.int64)
        >>> matrix[:, SYNAPTIC_OPERATIONS] = 0, 12
        >>> OpCounts(("a", "a->a"), matrix, 1, 3, ("", "conv")).by_kind()
        {'conv': 12}
        """
        found: dict[str, int] = {}
        for kind, n in zip(self.kinds, self.matrix[:, SYNAPTIC_OPERATIONS].tolist(), strict=True):
            if n:
                found[kind] = found.get(kind, 0) + n
        return found

    def overflows(self) -> int:
        """Number of register overflows of any kind."""
        return sum(self.total(name) for name in OVERFLOWS)

    def __add__(self, other: OpCounts) -> OpCounts:
        """Add two counts of the same program."""
        assert self.rows == other.rows
        return OpCounts(
            self.rows,
            self.matrix + other.matrix,
            self.n_samples + other.n_samples,
            self.n_steps + other.n_steps,
            self.kinds,
        )
