"""Splits by hash."""

from __future__ import annotations

import numpy as np

from neurosim.data.split import disjoint_tests, mix32, stratified_test


def test_hash_is_a_permutation_of_small_numbers_and_matches_plain_integers() -> None:
    def slow(h: int) -> int:
        h ^= h >> 16
        h = h * 0x85EBCA6B % 2**32
        h ^= h >> 13
        h = h * 0xC2B2AE35 % 2**32
        return h ^ (h >> 16)

    values = [*range(2000), 2**31, 2**32 - 1]
    hashed = mix32(values).tolist()
    assert hashed == [slow(x) for x in values]
    assert len(set(hashed)) == len(hashed)


def test_each_class_gives_its_share() -> None:
    labels = np.repeat([0, 1, 2], [10, 20, 70])
    test = stratified_test(labels, 10)
    assert np.bincount(labels[test]).tolist() == [1, 2, 7]
    assert np.all(np.diff(test) > 0)


def test_splits_share_no_sample_and_keep_the_classes() -> None:
    labels = np.arange(90) % 9
    tests = disjoint_tests(labels, 18, 5)
    chosen = np.concatenate(tests)
    assert len(tests) == 5 and len(np.unique(chosen)) == len(chosen) == 90
    for test in tests:
        assert np.bincount(labels[test]).tolist() == [2] * 9
    np.testing.assert_array_equal(tests[0], stratified_test(labels, 18))
