"""Checks of what users describe: names, sizes, register values."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from neurosim.errors import NetworkError
from neurosim.fixedpoint import RANGES, STATE_MAX


def check_name(kind: str, name: str) -> None:
    """Refuse names that could not be told apart in "source->target" or in a file."""
    if not isinstance(name, str) or not name or "->" in name or "/" in name:
        raise NetworkError(f"{kind} {name!r}: a name is a non-empty string without '->' or '/'; rename it")


def check_size(kind: str, name: str, n: int) -> None:
    """Refuse a number of neurons that is not a positive integer."""
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
        raise NetworkError(f"{kind} {name!r}: size {n!r} is not a positive integer; give the number of neurons")


def check_group(name: str, n: int) -> None:
    """Refuse a group's name or size that cannot be."""
    check_name("group", name)
    check_size("group", name, n)


def outside(values: npt.NDArray[Any], low: int, high: int) -> int | None:
    """Return the value that leaves a range, the largest if it is too large; None if none does."""
    if not values.size:
        return None
    least, most = int(values.min()), int(values.max())
    return most if most > high else least if least < low else None


def check_register(
    owner: str, register: str, value: Any, size: int | None = None, limits: str | None = None
) -> npt.NDArray[np.int64]:
    """Return the value as int64 after checking type, shape and the register's documented range.

    `limits` names the entry of `RANGES`, where it is not that of the register itself.
    """
    array = np.asarray(value)
    if array.dtype.kind not in "iu":
        raise NetworkError(f"{owner}: {register} {value!r} is not an integer; chip registers hold integers")
    if size is not None and array.shape not in ((), (size,)):
        raise NetworkError(f"{owner}: {register} has shape {array.shape}; give one number or {size}")
    if size is None and array.shape != ():
        raise NetworkError(f"{owner}: {register} has shape {array.shape}; it is one number for the whole group")
    low, high = RANGES[limits or register]
    worst = outside(array, low, high)
    if worst is not None:
        raise NetworkError(f"{owner}: {register} {worst} is outside {low}..{high}; choose a value the register holds")
    return array.astype(np.int64)


def check_positive(owner: str, quantity: str, value: float | None) -> None:
    """Refuse a quantity that is given and not positive and finite."""
    if value is not None and not (np.isfinite(value) and value > 0):
        raise NetworkError(f"{owner}: {quantity} {value!r} is not a positive finite number")


def _per_neuron(owner: str, quantity: str, value: Any, n: int) -> npt.NDArray[np.float64]:
    """Return what is one number or one for each of n neurons."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiu" or array.shape not in ((), (n,)):
        found = f"{array.dtype} of shape {array.shape}"
        raise NetworkError(f"{owner}: {quantity} is {found}; give one number or {n}")
    return array.astype(np.float64)


def check_times(owner: str, quantity: str, value: Any, n: int) -> float | npt.NDArray[np.float64] | None:
    """Return a time constant: None, one positive finite number, or one of each neuron, inf where it has none."""
    if value is None:
        return None
    array = _per_neuron(owner, quantity, value, n)
    if array.ndim == 0:
        check_positive(owner, quantity, float(array))
        return float(array)
    if not np.all(array > 0):  # catches NaN
        wrong = int(np.argmax(~(array > 0)))
        raise NetworkError(
            f"{owner}: {quantity} of neuron {wrong}, {array[wrong]:g}, is not positive; use inf for a neuron without"
        )
    return array


def check_thresholds(owner: str, value: Any, n: int, zero: bool) -> float | npt.NDArray[np.float64]:
    """Return thresholds: one positive number or one of each neuron, inf for readouts; 0 only where `zero`."""
    array = _per_neuron(owner, "v_threshold", value, n)
    wrong = ~((array >= 0) if zero else (array > 0))
    if np.any(wrong):
        if array.ndim == 0:
            raise NetworkError(f"{owner}: v_threshold {float(array)!r} is not positive; use inf for a readout")
        first = int(np.argmax(wrong))
        raise NetworkError(
            f"{owner}: v_threshold of neuron {first}, {array[first]:g}, is not positive; use inf for a readout"
        )
    return float(array) if array.ndim == 0 else array


class _Named(Protocol):
    """What has a name."""

    @property
    def name(self) -> str:
        """For errors."""
        ...


def check_registers(group: _Named, names: tuple[str, ...], limits: str | None = None) -> None:
    """Check one integer per group and register, and store it as int."""
    owner = f"group {group.name!r}"
    for register in names:
        value = check_register(owner, register, getattr(group, register), limits=limits)
        object.__setattr__(group, register, int(value))


def check_shifted(owner: str, register: str, value: int, shift: int) -> None:
    """Refuse a threshold that leaves 24 bits once it is scaled."""
    if value << shift > STATE_MAX:
        raise NetworkError(
            f"{owner}: {register} {value} << {shift} is {value << shift}, state registers hold up to {STATE_MAX}; "
            "use a smaller threshold or smaller exponents"
        )
