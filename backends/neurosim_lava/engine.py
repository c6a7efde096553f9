"""Run the update of evolution strategies, W += sum of f * outer(post, pre), in Lava's learning engine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from neurosim.errors import DataError
from neurosim_lava import place
from neurosim_lava.backend import START_S, stage_limits
from neurosim_lava.lessons import (
    PRE_LIMIT,
    TRACE_HIGH,
    TRACE_LOW,
    WEIGHT_HIGH,
    WEIGHT_LOW,
    Lesson,
    Terms,
    arrays_of,
    make_lesson,
    post_shift,
)
from neurosim_lava.session import Worker
from neurosim_lava.wire import Arrays, Header

ENGINE_COST = 10  # a learning step handles each weight some ten times as often as a step of Dense

Int64Array = npt.NDArray[np.int64]


def update(
    weights: npt.ArrayLike, f: npt.ArrayLike, post: npt.ArrayLike, pre: npt.ArrayLike, *, patience: float = 1.0
) -> Int64Array:
    """Return ``weights + sum over s of f[s] * outer(post[s], pre[s])``, computed by Lava's three-factor rule.

    The members s follow each other, one learning epoch each, in a `LearningDense` of sign mode MIXED. Everything
    is exact, and what would not be is refused.

    Parameters
    ----------
    weights : (n_post, n_pre) integers
        Even, -256..254: what an 8-bit weight of mixed sign can be.
    f : (S,) integers
        Third factors, such as fitness differences.
    post : (S, n_post) integers
        Post factors. For some k, ``post * 2**k`` and ``f * 2**(8 - k)`` must all be in -128..127: largest magnitudes of
        post and f of 7 and 7, 31 and 1, or 1 and 31, for instance.
    pre : (S, n_pre) integers
        Pre factors, -63..63.
    patience : float
        Factor on all time limits.

    Returns
    -------
    (n_post, n_pre) int64
        In -256..255. Odd values are possible, which the chip cannot hold in mixed mode; an even f gives none.

    Raises
    ------
    DataError
        If shapes do not fit, a factor is too large, a product leaves -256..255, or the sum does so after a member.
    BackendError
        If Lava is not installed, fails or takes too long.
    """
    first, terms = _checked(weights, f, post, pre)
    if not len(terms.f):
        return first
    read = np.full(len(terms.f), -1, np.int8)
    read[-1] = 0
    worker = Worker("update", place.found(), START_S * patience)
    try:
        return teach(worker, [first], [Lesson(terms, read)], patience)[0]
    finally:
        worker.close()


def sums(
    worker: Worker, terms: Sequence[Terms], shapes: Sequence[tuple[int, int]], patience: float
) -> list[Int64Array]:
    """Return the sum of each connection's products, (n_post, n_pre) of any size, from one Lava start."""
    lessons = [make_lesson(part) for part in terms]
    busy = [i for i, lesson in enumerate(lessons) if len(lesson.read)]
    found = [np.zeros(shape, np.int64) for shape in shapes]
    learned = teach(worker, [found[i] for i in busy], [lessons[i] for i in busy], patience) if busy else []
    for i, total in zip(busy, learned, strict=True):
        found[i] = total
    return found


def teach(
    worker: Worker, weights: Sequence[Int64Array], lessons: Sequence[Lesson], patience: float
) -> list[Int64Array]:
    """Run one learning engine for each lesson, all in one Lava start, and return what was read."""
    n_steps = max(len(lesson.read) for lesson in lessons)
    arrays: Arrays = {}
    for i, (first, lesson) in enumerate(zip(weights, lessons, strict=True)):
        arrays |= arrays_of(_padded(lesson, n_steps), first, i)
    header: Header = {"kind": "update", "n_steps": n_steps, "n_connections": len(lessons)}
    n_weights = sum(first.size for first in weights)
    limits = stage_limits(n_steps, 2 * len(lessons), ENGINE_COST * n_weights, n_weights, patience)
    found = worker.session().request(header, arrays, limits, "the learning engine")
    return [found[f"total_{i}"] for i in range(len(lessons))]


def _padded(lesson: Lesson, n_steps: int) -> Lesson:
    """Return the lesson with idle steps at its end: engines that share a start run equally long."""
    idle = n_steps - len(lesson.read)
    terms = [np.concatenate([part, np.zeros((idle, *part.shape[1:]), np.int64)]) for part in lesson.terms]
    return Lesson(Terms(*terms), np.concatenate([lesson.read, np.full(idle, -1, np.int8)]))


def _checked(
    weights: npt.ArrayLike, f: npt.ArrayLike, post: npt.ArrayLike, pre: npt.ArrayLike
) -> tuple[Int64Array, Terms]:
    """Return the arrays as int64, or say what the engine could not compute exactly."""
    given = {"weights": weights, "f": f, "post": post, "pre": pre}
    arrays = {name: np.asarray(array) for name, array in given.items()}
    for name, array in arrays.items():
        if array.dtype.kind not in "iu":
            raise DataError(f"update: {name} has type {array.dtype}; give integers")
        if array.ndim != (1 if name == "f" else 2):
            raise DataError(f"update: {name} has shape {array.shape}; need {1 if name == 'f' else 2} dimensions")
    n_post, n_pre = arrays["weights"].shape
    for name, shape in (("post", (len(arrays["f"]), n_post)), ("pre", (len(arrays["f"]), n_pre))):
        if arrays[name].shape != shape:
            raise DataError(f"update: {name} has shape {arrays[name].shape}, need {shape} for these weights and f")
    first, terms = arrays["weights"].astype(np.int64), Terms(*(arrays[name].astype(np.int64) for name in Terms._fields))
    odd = first[(first % 2 != 0) | (first < WEIGHT_LOW) | (first > WEIGHT_HIGH)]
    if odd.size:
        raise DataError(f"update: weight {odd[0]} is not an even number in {WEIGHT_LOW}..{WEIGHT_HIGH - 1}; round it")
    wide = terms.pre[np.abs(terms.pre) > PRE_LIMIT]
    if wide.size:
        raise DataError(f"update: pre factor {wide[0]} is outside -{PRE_LIMIT}..{PRE_LIMIT}; split it into digits")
    if post_shift(terms) is None:
        largest = int(np.abs(terms.post).max()), int(np.abs(terms.f).max())
        raise DataError(
            f"update: post factor {largest[0]} and f {largest[1]} (magnitudes), scaled by powers of two that multiply to "
            f"256, do not both fit {TRACE_LOW}..{TRACE_HIGH}; split one into digits"
        )
    _check_sums(first, terms)
    return first, terms


def _check_sums(first: Int64Array, terms: Terms) -> None:
    """Refuse what the engine would clip: a product or a running sum beyond its weights."""
    total = first.copy()
    for s, (f, post, pre) in enumerate(zip(*terms, strict=True)):
        product = f * np.outer(post, pre)
        total = total + product
        for what, array in (("product f * post * pre", product), ("running sum", total)):
            beyond = np.argwhere((array < WEIGHT_LOW) | (array > WEIGHT_HIGH))
            if len(beyond):
                k, j = beyond[0]
                raise DataError(
                    f"update: member {s}: the {what} of synapse {j} -> {k} is {array[k, j]}, the engine holds "
                    f"{WEIGHT_LOW}..{WEIGHT_HIGH}; use smaller factors or fewer members"
                )
