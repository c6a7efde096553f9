"""The format follows the density, and what caches hold."""

import pytest

from neurosim.mapping.formats import CACHES, PERCENT_BEYOND, rows_pay


@pytest.mark.parametrize(
    ("shape", "percent"),
    [((1 << 10, 1 << 10), 2), ((1 << 11, 1 << 11), 4), ((1 << 12, 1 << 12), 4), ((1 << 13, 1 << 13), 10)],
)
def test_rows_pay_from_a_density_on_that_grows_with_their_bytes(shape: tuple[int, int], percent: int) -> None:
    enough = -(-shape[0] * shape[1] * percent // 100)
    assert rows_pay(shape, enough) and rows_pay(shape, shape[0] * shape[1])
    assert not rows_pay(shape, enough - 1) and not rows_pay(shape, 0)


def test_larger_caches_come_later_and_ask_for_more() -> None:
    sizes, percents = zip(*CACHES, strict=True)
    assert list(sizes) == sorted(sizes) and [*percents, PERCENT_BEYOND] == sorted([*percents, PERCENT_BEYOND])


def test_an_empty_connection_is_rows_of_nothing() -> None:
    assert rows_pay((0, 5), 0)
