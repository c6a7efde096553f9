"""Build what learning runs on Lava, run it once, and read it: the members of a generation, or learning engines.

Imported only by the worker, after `shim`: this module imports Lava.
"""

# Lava has no types, and is missing in the environments that are checked.
# mypy: disable-error-code="import-not-found, import-untyped"

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from lava.magma.core.learning.constants import GradedSpikeCfg
from lava.magma.core.learning.learning_rule import Loihi3FLearningRule
from lava.magma.core.process.process import AbstractProcess
from lava.proc.dense.process import LearningDense
from lava.utils.weightutils import SignMode

from neurosim_lava import board, learnboard
from neurosim_lava.board import FEEDS, Feed
from neurosim_lava.build import MODELS, execute, make_connection
from neurosim_lava.learnboard import DRIVES, LESSONS, MEMBERS, DriveBoard, LessonBoard, MemberBoard, Schedule, shared
from neurosim_lava.processes.drive import Drive
from neurosim_lava.processes.member import Member
from neurosim_lava.processes.source import Source
from neurosim_lava.processes.teacher import Teacher
from neurosim_lava.wire import Arrays, Header

LEARNING_MODELS = MODELS | {
    Member: "MemberModel",
    Drive: "DriveModel",
    LearningDense: "PyLearningDenseModelBitApproximate",
    Teacher: "TeacherModel",
}
#: The engine computes ``4 y2 y1 (x1 - 64) >> 10``; y1 and y2 come scaled by powers of two that multiply to 256, so
#: nothing is lost. y2 is the third factor.
RULE = "4 * u0 * y2 * y1 * (x1 - 64)"
FOREVER = 1e17  # a time constant in which a trace keeps its value; 0 would make it zero


def run_members(
    header: Header, arrays: Arrays, report: Callable[[str], None], complain: Callable[[str], None]
) -> Arrays:
    """Run every sample unperturbed and with both members of each pair, one after the other in one Lava start.

    Parameters
    ----------
    header, arrays
        As made by `neurosim_lava.members.Members.request`.
    report, complain
        As in `neurosim_lava.build.run`.

    Returns
    -------
    dict of str to array
        "trace_i", "near_i", "final_i", "drive_i" of the i-th group; see `neurosim_lava.learnboard.MemberBoard`.
    """
    board.clear()
    learnboard.clear()
    schedule = Schedule(header["n_steps"], header["n_pairs"], header["rank"], header["windows"])
    n_samples = header["n_samples"] // schedule.n_runs
    first = _assemble(header, arrays, schedule, n_samples)
    execute(first, n_samples * schedule.n_runs * schedule.n_steps, LEARNING_MODELS, report, complain)
    found: Arrays = {}
    for i, group in enumerate(header["groups"]):
        for name in ("trace", "near", "final", "drive"):
            found[f"{name}_{i}"] = getattr(MEMBERS[group["name"]], name)
    return found


def _assemble(header: Header, arrays: Arrays, schedule: Schedule, n_samples: int) -> AbstractProcess:
    """Create and connect all Processes of a population; return one of them."""
    members: dict[str, Member] = {}
    senders: dict[str, AbstractProcess] = {}
    for i, group in enumerate(header["groups"]):
        name, n = group["name"], group["n"]
        member = Member(
            group=name, n=n, rank=schedule.rank, du=group["du"], dv=group["dv"], vth=group["vth"],
            bias_mant=arrays[f"bias_mant_{i}"].astype(np.int32), bias_exp=arrays[f"bias_exp_{i}"].astype(np.int32),
        )  # fmt: skip
        if members:
            next(reversed(members.values())).tick_out.connect(member.tick_in)
        members[name] = senders[name] = member
        by_rank = (n_samples, schedule.rank, n)
        MEMBERS[name] = MemberBoard(
            schedule, arrays.get(f"post_{i}"), header["noise_exp"][i], shared(by_rank, np.int32),
            shared(by_rank, np.uint8), shared((n_samples, schedule.n_runs, n), np.int32), shared((2,), np.int64),
        )  # fmt: skip
    for i, source in enumerate(header["inputs"]):
        senders[source["name"]] = Source(group=source["name"], n=source["n"])
        FEEDS[source["name"]] = Feed(arrays[f"start_{i}"], arrays[f"neuron_{i}"], schedule.n_steps)
    for i, connection in enumerate(header["connections"]):
        synapses = make_connection(connection, i, arrays)
        senders[connection["source"]].s_out.connect(synapses.s_in)
        synapses.a_out.connect(members[connection["target"]].a_in)
    for i, drive in enumerate(header["drives"]):
        process = Drive(connection=drive["connection"], n=drive["n"], rank=schedule.rank)
        senders[drive["source"]].s_out.connect(process.s_in)
        process.c_out.connect(members[drive["target"]].c_in)
        DRIVES[drive["connection"]] = DriveBoard(schedule, arrays.get(f"signs_{i}"))
    return next(iter(members.values()))


def run_update(
    header: Header, arrays: Arrays, report: Callable[[str], None], complain: Callable[[str], None]
) -> Arrays:
    """Teach learning connections and return what they learned.

    Parameters
    ----------
    header, arrays
        As made by `neurosim_lava.engine.teach`.
    report, complain
        As in `neurosim_lava.build.run`.

    Returns
    -------
    dict of str to (n_post, n_pre) int64
        "total_i" of the i-th connection.
    """
    learnboard.clear()
    names = [f"engine {i}" for i in range(header["n_connections"])]
    teachers = [_engine(name, i, arrays) for i, name in enumerate(names)]
    for one, other in zip(teachers[:-1], teachers[1:], strict=True):
        one.tick_out.connect(other.tick_in)
    execute(teachers[0], header["n_steps"], LEARNING_MODELS, report, complain)
    return {f"total_{i}": LESSONS[name].total for i, name in enumerate(names)}


def _engine(name: str, i: int, arrays: Arrays) -> Teacher:
    """Return the teacher of a learning connection that drives nobody."""
    weights = arrays[f"weights_{i}"].astype(np.int32)
    n_post, n_pre = weights.shape
    rule = Loihi3FLearningRule(dw=RULE, x1_impulse=0, x1_tau=FOREVER, t_epoch=1, rng_seed=0)
    # Lava gives y a time constant of 65535: |y1| = 112 would come out one smaller in 0.2 % of the steps.
    rule.y1_tau = rule.y2_tau = rule.y3_tau = FOREVER
    engine = LearningDense(
        weights=weights, learning_rule=rule, num_message_bits=8, sign_mode=SignMode.MIXED,
        graded_spike_cfg=GradedSpikeCfg.OVERWRITE,
    )  # fmt: skip
    teacher = Teacher(engine=name, n_pre=n_pre, n_post=n_post)
    teacher.s_out.connect(engine.s_in)
    teacher.y1_out.connect(engine.s_in_y1)
    teacher.y2_out.connect(engine.s_in_y2)
    teacher.weights.connect_var(engine.weights)
    LESSONS[name] = LessonBoard(
        payload=arrays[f"payload_{i}"], y1=arrays[f"y1_{i}"], y2=arrays[f"y2_{i}"], read=arrays[f"read_{i}"],
        total=shared((n_post, n_pre), np.int64),
    )  # fmt: skip
    return teacher
