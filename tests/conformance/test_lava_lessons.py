"""What Lava's learning engine is given, without Lava: digits, readings, and errors for what would not be exact."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

neurosim_lava = pytest.importorskip("neurosim_lava", reason="the package neurosim_lava is not on the path")
from neurosim_lava.lessons import WEIGHT_HIGH, WEIGHT_LOW, Lesson, Terms, arrays_of, digits, make_lesson  # noqa: E402

from neurosim.errors import DataError  # noqa: E402


def plain_engine(lesson: Lesson, n_post: int, n_pre: int) -> np.ndarray:
    """The engine's integer arithmetic in plain Python: p = (4 y2 y1 (x1 - 64)) >> 10, all factors clipped to 8 bits."""
    arrays = arrays_of(lesson, np.zeros((n_post, n_pre), np.int64), 0)
    total = [[0] * n_pre for _ in range(n_post)]
    weights = [[0] * n_pre for _ in range(n_post)]
    for payload, y1, y2, read in zip(
        *(arrays[f"{name}_0"].tolist() for name in ("payload", "y1", "y2", "read")), strict=True
    ):
        assert all(0 < x <= 255 for x in payload), "0 is no spike, and x1 has 7 bits"
        for k in range(n_post):
            for j in range(n_pre):
                factors = y2, y1[k], payload[j] // 2 - 64
                assert all(-128 <= factor <= 127 for factor in factors)
                weights[k][j] += 4 * factors[0] * factors[1] * factors[2] >> 10
                assert WEIGHT_LOW <= weights[k][j] <= WEIGHT_HIGH
                if read >= 0:
                    total[k][j] += weights[k][j] << read
                    weights[k][j] = 0
    assert not any(map(any, weights)), "all that was learned is read"
    return np.array(total)


@given(hnp.arrays(np.int64, st.integers(0, 6), elements=st.integers(-(2**40), 2**40)), st.integers(2, 6))
def test_digits_add_up_and_are_balanced(values: np.ndarray, n_bits: int) -> None:
    found = digits(values, n_bits)
    np.testing.assert_array_equal(sum((d << (n_bits * i) for i, d in enumerate(found)), np.zeros_like(values)), values)
    assert all(-(1 << n_bits) <= 2 * d.min() and 2 * d.max() < 1 << n_bits for d in found)


@given(st.data())
def test_a_lesson_is_exact_within_the_engine_s_bits(data: st.DataObject) -> None:
    n, n_post, n_pre = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    wide = data.draw(st.sampled_from([(127, 1, 40), (1, 4095, 40), (1, 1, 1), (9, 9, 9), (127, 4095, 32767)]))
    shapes = (n,), (n, n_post), (n, n_pre)
    parts = [
        data.draw(hnp.arrays(np.int64, shape, elements=st.integers(-limit, limit)))
        for shape, limit in zip(shapes, wide, strict=True)
    ]
    terms = Terms(*parts)
    np.testing.assert_array_equal(plain_engine(make_lesson(terms), n_post, n_pre), np.einsum("s,sk,sj->kj", *terms))


def test_a_lesson_reads_seldom() -> None:
    """Thirty products of 8 x 1 fit 255 nearly twice: each reading costs two transfers of the whole matrix."""
    terms = Terms(np.ones(60, np.int64), np.full((60, 2), -8), np.ones((60, 3), np.int64))
    lesson = make_lesson(terms)
    assert len(lesson.read) == 60 and np.flatnonzero(lesson.read >= 0).tolist() == [30, 59]


BAD = {
    "weights has type float64; give integers": {"weights": [[0.5]]},
    "f has shape .* need 1 dimensions": {"f": [[1]]},
    r"post has shape \(1, 2\), need \(1, 1\) for these weights and f": {"post": [[1, 2]]},
    r"pre has shape \(2, 1\), need \(1, 1\) for these weights and f": {"pre": [[1], [2]]},
    "weight 3 is not an even number in -256..254": {"weights": [[3]]},
    "weight 256 is not an even number": {"weights": [[256]]},
    "pre factor -64 is outside -63..63": {"pre": [[-64]]},
    r"post factor 16 and f 16 \(magnitudes\).* do not both fit -128..127": {"f": [16], "post": [[16]]},
    "member 0: the product f \\* post \\* pre of synapse 0 -> 0 is 256": {"f": [8], "post": [[1]], "pre": [[32]]},
    "member 0: the running sum of synapse 0 -> 0 is 256, the engine holds -256..255": {"weights": [[254]], "f": [2]},
}


@pytest.mark.parametrize("words", BAD)
def test_factors_that_the_engine_would_clip_are_refused(words: str) -> None:
    good = {"weights": [[0]], "f": [1], "post": [[1]], "pre": [[1]]}
    with pytest.raises(DataError, match=f"update: {words}"):
        neurosim_lava.update(**good | BAD[words])


def test_no_members_change_nothing() -> None:
    weights = np.array([[2, -4], [254, -256], [0, 8]])
    found = neurosim_lava.update(weights, np.zeros(0, int), np.zeros((0, 3), int), np.zeros((0, 2), int))
    np.testing.assert_array_equal(found, weights)
