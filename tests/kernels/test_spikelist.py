"""Lists of who fired, from flags in words: equal to the plain form, with the machine's instruction and without it."""

import numba
import numpy as np
import pytest
from numba.core import config

from neurosim.kernels import spikelist
from neurosim.kernels.instructions import has_byte_compress
from neurosim.kernels.jit import jit

STEPS, STRIDE, COLUMNS = 5, 7 * 64, 3
EMPTY = -7


@jit
def list_all(*arguments):
    """Call what is an instruction to the compiler."""
    spikelist.list_steps(*arguments)


def check(list_steps) -> None:
    rng = np.random.default_rng(2)
    for density in (0.0, 0.01, 0.2, 0.3, 1.0):
        flags = rng.random((STEPS, STRIDE)) < density
        words = np.packbits(flags, axis=1, bitorder="little").view(np.uint64).ravel()
        for first_word, n_words in ((0, 7), (2, 3), (6, 1), (3, 0)):
            first, stop = 64 * first_word, 64 * (first_word + n_words)
            found = np.full(STEPS * STRIDE, EMPTY, np.int32)
            numbers = np.full(STEPS * COLUMNS, EMPTY)
            plain, plain_numbers = found.copy(), numbers.copy()
            list_steps(words, first, n_words, STRIDE, STEPS, found, numbers, 1, COLUMNS)
            spikelist._plain_list_steps(words, first, n_words, STRIDE, STEPS, plain, plain_numbers, 1, COLUMNS)
            np.testing.assert_array_equal(numbers, plain_numbers)
            table = found.reshape(STEPS, STRIDE)
            assert (table[:, :first] == EMPTY).all() and (table[:, stop:] == EMPTY).all(), "lanes of other groups"
            for t in range(STEPS):
                expected = np.nonzero(flags[t, first:stop])[0]
                assert numbers[t * COLUMNS + 1] == len(expected)
                assert table[t, first : first + len(expected)].tolist() == expected.tolist()


def test_spikes_are_listed_as_in_the_plain_form() -> None:
    check(list_all)


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="there are no instructions where kernels are not compiled")
@pytest.mark.skipif(not has_byte_compress(), reason="the machine has only the general way, which is tested above")
def test_spikes_are_listed_alike_by_machines_without_the_instruction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spikelist, "has_byte_compress", lambda: False)

    @numba.njit
    def list_bits(words, first, n_words, stride, n_steps, found, numbers, column, n_columns):
        spikelist.list_steps(words, first, n_words, stride, n_steps, found, numbers, column, n_columns)

    check(list_bits)
