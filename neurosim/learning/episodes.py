"""Learn a control task from rewards alone: generations of episodes, antithetic pairs, votes, updates."""

from __future__ import annotations

from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.backend import check_threads
from neurosim.codes import KIND, KIND_ROWS, PERTURBED, THRESHOLD, WEIGHT_BITS
from neurosim.config import RuleConfig
from neurosim.counters import COLUMN, N_COUNTERS, OpCounts
from neurosim.episodeplan import (
    DIFFERENCE,
    DRIVE,
    DRIVE_STEPS,
    LENGTH,
    MARGIN,
    N_ACTIONS,
    N_STATE,
    PERIODS,
    TIES,
    TOTALS,
    EpisodeScales,
    World,
)
from neurosim.errors import ConfigError, FeatureError
from neurosim.learning.calibrate import floor_log2_ratio
from neurosim.learning.keys import STREAM_PAIRS, STREAM_ROUNDING, STREAM_WARMUP, stream_key
from neurosim.learning.players import PLAYERS, Played, Player
from neurosim.learning.state import check_state
from neurosim.learning.weights import learned_weights
from neurosim.learnplan import LearnPlan, initial_weights, make_plan
from neurosim.program import Program
from neurosim.stepsize import FULL_STEP, step_size

STREAM_STARTS = 6  # start states of a generation's episodes
STREAM_TEST = 7  # start states that are never learned from
N_TUNED = 8  # neurons for each part of the state
ONE = 1 << 24  # of the fixed-point numbers of a state
RANGES = (24 * ONE // 10, 3 * ONE, 3513811, 3 * ONE)  # m, m/s, rad (12 degrees), rad/s
MAX_PERIODS = 500  # 10 s
EPOCH = 1024  # start states
FITNESS_TYPICAL = 16  # a typical difference of rewards after its shift
STATE_VERSION = 2


class EpisodeGeneration(NamedTuple):
    """What one generation showed."""

    generation: int  # from 1
    mean_length: float  # control periods survived by the unperturbed network, before this update
    ties: float  # share of the pairs whose rewards do not differ
    episodes: int  # played so far, members of pairs included; calibration too
    moved: float  # share of the plastic weights whose value changed


def _check_updates(rule: RuleConfig) -> None:
    """Refuse what only trainers on samples know."""
    for name, plain in (("update", "rounding"), ("momentum", 0), ("biases", False), ("thresholds", False)):
        if getattr(rule, name) != plain:
            raise ConfigError(
                f"rule.{name}: {getattr(rule, name)!r} is not known to learning from the reward of an episode; set it to {plain!r}"
            )


class EpisodeTrainer:
    """A program learning to balance a pole.

    Parameters
    ----------
    program : Program
        With 32 inputs (8 tuned neurons for each part of the state) and a readout of two neurons.
    readout : str
        Group whose final voltages choose: the second neuron pushes to the right.
    rule : RuleConfig
        Of form "scalar" and rank 1; `memory`, `error_bits` and `warmup` are not used.
    n_input_steps, n_steps : int
        Steps of a control period with input, and in all.
    n_generations, batch : int
        Generations in the whole run, and start states in each.
    seed : int
    backend : {"simulator", "reference"}
    threads : int
        Does not change any result.
    """

    def __init__(
        self, program: Program, readout: str, rule: RuleConfig, *, n_input_steps: int, n_steps: int, n_generations: int,
        batch: int, seed: int, backend: str = "simulator", threads: int = 1,
    ) -> None:  # fmt: skip
        if rule.form != "scalar" or rule.rank != 1:
            raise ConfigError(
                f"rule: form {rule.form!r} with rank {rule.rank} cannot learn from the reward of an episode; "
                "set rule.form=scalar and rule.rank=1"
            )
        if backend not in PLAYERS:
            raise FeatureError(f"backend {backend!r}: plays no episodes; choose one of {', '.join(PLAYERS)}")
        if program.network.n_inputs % N_STATE or program.network.n_inputs < 2 * N_STATE:
            raise ConfigError(
                f"network {program.network.name!r}: {program.network.n_inputs} inputs cannot code {N_STATE} numbers alike; "
                f"give it {N_STATE * N_TUNED}"
            )
        self.program, self.rule, self.seed = program, rule, seed
        self.n_generations, self.batch = n_generations, batch
        _check_updates(rule)
        self.plan: LearnPlan = make_plan(
            program, readout, form="scalar", factor=rule.factor, rank=1, n_pairs=rule.pairs, n_steps=n_steps,
            error_bits=rule.error_bits, residual_bits=rule.residual_bits,
        )  # fmt: skip
        if program.models is not None or (self.plan.plastic[:-1, KIND] != KIND_ROWS).any():
            raise ConfigError(
                f"network {program.network.name!r}: episodes are learned by plain LIF neurons with binary spikes, dense plastic "
                "connections and no delays; describe it so"
            )
        if self.plan.n_classes != N_ACTIONS:
            raise ConfigError(
                f"group {readout!r}: {self.plan.n_classes} neurons cannot choose one of two sides; give it 2"
            )
        self.world = World(np.array(RANGES, np.int64), n_input_steps, MAX_PERIODS)
        self.player: Player = PLAYERS[backend](program, self.plan, self.world, check_threads(threads))
        self.generation, self.episodes = 0, 0
        self.full = initial_weights(program, self.plan)
        n_groups = len(program.group_names)
        self.scales = EpisodeScales(np.zeros(n_groups, np.int64), np.zeros(len(self.plan.connections), np.int64), 0)
        self.counts = np.zeros((len(program.rows), N_COUNTERS), np.int64)
        self.periods = 0  # played in all generations
        self.player.load(self.full)

    def prepare(self) -> None:
        """Calibrate before any weight moves: perturbation, then fitness, then step."""
        self._calibrate_noise(self._play(STREAM_WARMUP, 0))
        self._calibrate_fitness(self._play(STREAM_WARMUP, 1))
        votes = self._play(STREAM_WARMUP, 2).votes
        shifts = self.scales.step_shift.copy()
        for c in range(len(shifts)):
            part = np.abs(votes[self.plan.votes_of(c)])
            mean = int(part.sum()) // max(1, int(np.count_nonzero(part)))
            wanted = (int(self.rule.step * 256) << self.plan.residual_bits) >> (
                16 - int(self.plan.plastic[c, WEIGHT_BITS])
            )
            shifts[c] = floor_log2_ratio(mean * FULL_STEP, max(1, wanted))
        self.scales = self.scales._replace(step_shift=shifts)

    def step(self) -> EpisodeGeneration:
        """Play one generation and apply its votes."""
        if self.generation == 0:
            self.prepare()
        g = self.generation
        played = self._play(STREAM_PAIRS, g)
        size = step_size(self.rule.schedule, g, self.n_generations, self.rule.halvings)
        key = stream_key(self.seed, STREAM_ROUNDING, g)
        update_counts = self.player.update(self.full, played.votes, size, self.scales.step_shift, key)
        self.counts += played.counts + update_counts
        self.periods += int(played.statistics[TOTALS, PERIODS])
        self._calibrate_noise(played)
        self._calibrate_fitness(played)
        self.generation = g + 1
        totals = played.statistics[TOTALS]
        return EpisodeGeneration(
            generation=self.generation,
            mean_length=int(totals[LENGTH]) / self.batch,
            ties=int(totals[TIES]) / (self.batch * self.rule.pairs),
            episodes=self.episodes,
            moved=int(update_counts[:, COLUMN["weight_updates"]].sum()) / self.plan.n_weights,
        )

    def test(self, n_episodes: int, which: int) -> Played:
        """Play unperturbed episodes from start states that are never learned from.

        Parameters
        ----------
        n_episodes : int
        which : int
            Names the set of start states.
        """
        return self.player.play(
            self.plan._replace(n_pairs=0), self.scales, stream_key(self.seed, STREAM_TEST, which), 0, n_episodes
        )

    def _play(self, stream: int, generation: int) -> Played:
        starts = stream_key(self.seed, STREAM_STARTS, stream, generation)
        played = self.player.play(self.plan, self.scales, starts, stream_key(self.seed, stream, generation), self.batch)
        self.episodes += played.lengths.size
        return played

    def _calibrate_noise(self, played: Played) -> None:
        """Set each group's exponent so that a step with drive moves it by the wanted part of its threshold.

        For the readout, which has none, of the mean distance between its two voltages.
        """
        statistics, exponents = played.statistics, self.scales.noise_exp.copy()
        margin = int(statistics[TOTALS, MARGIN]) // max(1, int(statistics[TOTALS, LENGTH]))
        part = int(self.rule.perturbation * 256)
        for g in np.nonzero(self.plan.group[:, PERTURBED])[0]:
            size = margin if g == self.plan.readout else int(self.program.arrays.group[g, THRESHOLD])
            drive = int(statistics[DRIVE, g]) // max(1, int(statistics[DRIVE_STEPS, g]))
            # sqrt(2) = 362 / 256 turns rounding down of the exponent into rounding to the nearest
            exponents[g] = floor_log2_ratio((size * part >> 8) * 362 >> 8, drive)
        self.scales = self.scales._replace(noise_exp=exponents)

    def _calibrate_fitness(self, played: Played) -> None:
        """Set the shift that brings a typical difference of rewards to about 16."""
        size = int(played.statistics[TOTALS, DIFFERENCE]) // (self.batch * self.rule.pairs)
        self.scales = self.scales._replace(fitness_shift=max(0, floor_log2_ratio(size, FITNESS_TYPICAL)))

    @property
    def weights(self) -> dict[str, npt.NDArray[np.int64]]:
        """The learned chip weights (n_post, n_pre) by connection."""
        return learned_weights(self.program, self.plan, self.full)

    @property
    def op_counts(self) -> OpCounts:
        """Operations of all generations so far; a sample is a start state with all its episodes."""
        return OpCounts(
            self.program.rows,
            self.counts.copy(),
            self.generation * self.batch,
            self.periods * self.plan.n_steps,
            self.program.kinds,
        )

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return everything that changes during training: a header in plain values, and arrays of integers."""
        header = {
            "state_version": STATE_VERSION,
            "fingerprint": self.program.fingerprint,
            "generation": self.generation,
            "episodes": self.episodes,
            "periods": self.periods,
            "fitness_shift": self.scales.fitness_shift,
        }
        arrays: dict[str, npt.NDArray[Any]] = {
            "full": self.full.copy(),
            "noise_exp": self.scales.noise_exp,
            "step_shift": self.scales.step_shift,
            "counts": self.counts.copy(),
        }
        return header, arrays

    def restore(self, header: dict[str, Any], arrays: dict[str, npt.NDArray[Any]], where: str = "checkpoint") -> None:
        """Continue from a state; the next generation is the one that would have followed.

        Raises
        ------
        ModelFileError
            If the state belongs to another program or version.
        """
        check_state(header, arrays, self.state()[1], STATE_VERSION, self.program.fingerprint, where)
        self.generation, self.episodes = int(header["generation"]), int(header["episodes"])
        self.periods = int(header["periods"])
        self.full, self.counts = arrays["full"].astype(np.int32), arrays["counts"].astype(np.int64)
        self.scales = EpisodeScales(
            arrays["noise_exp"].astype(np.int64), arrays["step_shift"].astype(np.int64), int(header["fitness_shift"])
        )
        self.player.load(self.full)

    def close(self) -> None:
        """Free the player."""
        self.player.close()

    def __enter__(self) -> EpisodeTrainer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
