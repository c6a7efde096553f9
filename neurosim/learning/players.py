"""Play a generation's episodes on a backend and apply its votes; the players of the built-in backends."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from neurosim.codes import FIRST_FACTOR, OFFSET
from neurosim.counters import COLUMN, N_COUNTERS
from neurosim.episodeplan import EpisodeScales, World, make_episode_scratch
from neurosim.layerplan import lay_lanes
from neurosim.learning.generation import no_chance
from neurosim.learning.scratch import make_terms, make_update_work
from neurosim.learning.weights import learned_weights
from neurosim.learnplan import LearnPlan
from neurosim.program import Program, aligned_copy
from neurosim.scratch import make_scratch


class Played(NamedTuple):
    """What a generation's episodes give."""

    lengths: npt.NDArray[np.int64]  # (n_episodes, 1 + 2 n_pairs) unperturbed, then + and - of each pair
    votes: npt.NDArray[np.int64]  # (W,)
    statistics: npt.NDArray[np.int64]  # (3, max(G, 6)), `neurosim.episodeplan`
    counts: npt.NDArray[np.int64]  # (rows, N_COUNTERS)


class Player(Protocol):
    """A program that plays episodes and learns from them."""

    def play(self, plan: LearnPlan, scales: EpisodeScales, start_key: int, key: int, n_episodes: int) -> Played:
        """Play with the present weights."""
        ...

    def update(
        self, full: npt.NDArray[np.int32], votes: npt.NDArray[np.int64], step: int, step_shift: npt.NDArray[np.int64],
        key: int,
    ) -> npt.NDArray[np.int64]:  # fmt: skip
        """Apply votes to `full` (in place) and to the chip; return counts."""
        ...

    def load(self, full: npt.NDArray[np.int32]) -> None:
        """Put weights (with residual bits) on the chip."""
        ...

    def close(self) -> None:
        """Free what is held."""
        ...


class KernelPlayer:
    """Episodes on the compiled kernels; threads take blocks of episodes."""

    def __init__(self, program: Program, plan: LearnPlan, world: World, threads: int) -> None:
        self.program, self.plan, self.world = program, plan, world
        self.arrays = program.arrays._replace(dense8=aligned_copy(program.arrays.dense8))
        self.work = [(make_scratch(self.arrays), make_episode_scratch(program, plan)) for _ in range(threads)]
        self.lanes = lay_lanes(program)
        self.terms = make_terms(plan, self.lanes, 0)  # votes are summed up already
        self.update_work = make_update_work(program)
        self.pool = ThreadPoolExecutor(threads)

    def play(self, plan: LearnPlan, scales: EpisodeScales, start_key: int, key: int, n_episodes: int) -> Played:
        """Play with the present weights; see `Player.play`."""
        from neurosim.kernels.episodes import play_episodes

        lengths = np.zeros((n_episodes, 1 + 2 * plan.n_pairs), np.int64)
        bounds = [n_episodes * i // len(self.work) for i in range(len(self.work) + 1)]

        def block(number: int) -> None:
            scratch, work = self.work[number]
            for array in (work.votes, work.statistics, work.counts):
                array[:] = 0
            with np.errstate(over="ignore"):
                play_episodes(
                    self.arrays, scratch, work, plan, self.world, scales, np.uint64(start_key), np.uint64(key),
                    bounds[number], bounds[number + 1], lengths,
                )  # fmt: skip

        list(self.pool.map(block, range(len(self.work))))
        works = [work for _, work in self.work]
        return Played(
            lengths,
            np.sum([work.votes for work in works], axis=0, dtype=np.int64),
            np.sum([work.statistics for work in works], axis=0, dtype=np.int64),
            np.sum([work.counts for work in works], axis=0, dtype=np.int64),
        )

    def update(
        self, full: npt.NDArray[np.int32], votes: npt.NDArray[np.int64], step: int, step_shift: npt.NDArray[np.int64],
        key: int,
    ) -> npt.NDArray[np.int64]:  # fmt: skip
        """Apply votes; see `Player.update`."""
        from neurosim.kernels.weights import update_rows

        counts = np.zeros((len(self.program.rows), N_COUNTERS), np.int64)
        with np.errstate(over="ignore"):
            update_rows(
                self.arrays, self.lanes, self.plan, self.terms.pre, self.terms.post, votes.astype(np.int32)[None], 0,
                int(self.plan.plastic[-1, FIRST_FACTOR]), full, step, step_shift, np.uint64(key), np.zeros(0, np.int64), 0, 1,
                no_chance(), np.zeros(0, np.int16),
                *self.update_work, counts,
            )  # fmt: skip
        return counts

    def load(self, full: npt.NDArray[np.int32]) -> None:
        """Put weights on the chip; see `Player.load`."""
        for c, connection in enumerate(self.plan.connections):
            mantissa = full[self.plan.votes_of(c)] >> self.plan.residual_bits
            start = int(self.arrays.conn[connection, OFFSET])
            self.arrays.dense8[start : start + len(mantissa)] = mantissa

    def close(self) -> None:
        """End the worker threads."""
        self.pool.shutdown()


class TwinPlayer:
    """Episodes on the numpy twins."""

    def __init__(self, program: Program, plan: LearnPlan, world: World, threads: int) -> None:
        self.program, self.plan, self.world = program, plan, world
        self.weights: dict[str, npt.NDArray[np.int64]] = {}

    def play(self, plan: LearnPlan, scales: EpisodeScales, start_key: int, key: int, n_episodes: int) -> Played:
        """Play with the present weights; see `Player.play`."""
        from neurosim.reference.episodes import EpisodePlayer

        player = EpisodePlayer(self.program, plan, self.world, scales, self.weights)
        lengths = player.play(start_key, key, n_episodes)
        return Played(lengths, player.votes, player.statistics, player.chip.counts)

    def update(
        self, full: npt.NDArray[np.int32], votes: npt.NDArray[np.int64], step: int, step_shift: npt.NDArray[np.int64],
        key: int,
    ) -> npt.NDArray[np.int64]:  # fmt: skip
        """Apply votes; see `Player.update`."""
        from neurosim.reference.weights import update_weights

        new = update_weights(self.plan, full.astype(np.int64), votes, step, step_shift, key)
        counts = np.zeros((len(self.program.rows), N_COUNTERS), np.int64)
        for connection, n in zip(self.plan.connections, new.n_changed, strict=True):
            counts[len(self.program.group_names) + connection, COLUMN["weight_updates"]] = n
        full[:] = new.full
        self.load(full)
        return counts

    def load(self, full: npt.NDArray[np.int32]) -> None:
        """Put weights on the chip; see `Player.load`."""
        self.weights = learned_weights(self.program, self.plan, full)

    def close(self) -> None:
        """Nothing is held."""


#: What plays episodes, by backend.
PLAYERS: dict[str, type[KernelPlayer] | type[TwinPlayer]] = {"simulator": KernelPlayer, "reference": TwinPlayer}
