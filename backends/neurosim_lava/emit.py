"""One piece of Lava source text for each neuron model and each kind of connection that Lava has.

`NEURONS` and `CONNECTIONS` are the tables; a model that is in neither has no counterpart in Lava. Nothing here needs Lava.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.errors import FeatureError
from neurosim.network import LIF, Dense, Sparse

LINE = 100  # columns up to which a call stays on one line


class Code(NamedTuple):
    """How a script makes one Process.

    Parameters
    ----------
    imports : tuple of str
        Lines of the script that import what `call` names.
    call : str
        The expression that makes the Process, written as for an indent of four.
    states : tuple of str
        Names of the Vars of a neuron group that are read at the end of a sample.
    """

    imports: tuple[str, ...]
    call: str
    states: tuple[str, ...] = ()


class Store:
    """The arrays that go into the file beside the script; what fits into a number is written as one instead."""

    def __init__(self) -> None:
        self.arrays: dict[str, npt.NDArray[Any]] = {}

    def put(self, name: str, values: npt.ArrayLike, dtype: npt.DTypeLike = np.int32) -> str:
        """Keep an array and return the text that reads it."""
        self.arrays[name] = np.asarray(values).astype(dtype)
        return f'ARRAYS["{name}"]'

    def number(self, name: str, values: npt.ArrayLike) -> str:
        """Return one number as text if all values are equal, otherwise keep them as an array."""
        array = np.asarray(values)
        if array.size and (array == array.flat[0]).all():
            return str(int(array.flat[0]))
        return self.put(name, array)


def _call(name: str, **arguments: object) -> str:
    parts = [f"{key}={value}" for key, value in arguments.items()]
    line = f"{name}({', '.join(parts)})"
    if len(line) <= LINE:
        return line
    return f"{name}(\n" + "".join(f"        {part},\n" for part in parts) + "    )"


def _lif(group: LIF, name: str, store: Store) -> Code:
    call = _call(
        "LIF", shape=f"({group.n},)", du=group.du, dv=group.dv, vth=group.vth,
        bias_mant=store.number(f"{name}_bias_mant", group.bias_mant),
        bias_exp=store.number(f"{name}_bias_exp", group.bias_exp),
    )  # fmt: skip
    return Code(("from lava.proc.lif.process import LIF",), call, ("u", "v"))


def _weight_format(connection: Dense | Sparse) -> dict[str, object]:
    mode = "excitatory" if connection.sign_mode == "null" else str(connection.sign_mode)
    return {
        "weight_exp": connection.weight_exp,
        "num_weight_bits": connection.num_weight_bits,
        "sign_mode": f"SignMode.{mode.upper()}",
    }


SIGN_MODE = "from lava.utils.weightutils import SignMode"


def _dense(connection: Dense, name: str, store: Store) -> Code:
    call = _call("Dense", weights=store.put(f"{name}_weights", connection.weights), **_weight_format(connection))
    return Code(("from lava.proc.dense.process import Dense", SIGN_MODE), call)


def _sparse(connection: Sparse, name: str, store: Store) -> Code:
    data, row, col = (store.put(f"{name}_{key}", getattr(connection, key)) for key in ("data", "row", "col"))
    matrix = f"csr_matrix(({data}, ({row}, {col})), shape={tuple(connection.shape)})"
    imports = ("from lava.proc.sparse.process import Sparse", "from scipy.sparse import csr_matrix", SIGN_MODE)
    return Code(imports, _call("Sparse", weights=matrix, **_weight_format(connection)))


Emitter = Callable[[Any, str, Store], Code]

#: Neuron models that Lava has in fixed point.
NEURONS: dict[type, Emitter] = {LIF: _lif}

#: Connections that Lava has in fixed point.
CONNECTIONS: dict[type, Emitter] = {Dense: _dense, Sparse: _sparse}


def emit(part: Any, name: str, store: Store) -> Code:
    """Return the code of a neuron group or a connection.

    Parameters
    ----------
    part
        A group or connection in chip integers.
    name : str
        Its name in the script; arrays are named after it.
    store : Store
        Takes the arrays.

    Raises
    ------
    FeatureError
        If Lava has nothing that computes the same.
    """
    emitter = (NEURONS | CONNECTIONS).get(type(part))
    if emitter is None:
        kind = "connection" if hasattr(part, "source") else "group"
        known = NEURONS if kind == "group" else CONNECTIONS
        raise FeatureError(
            f"{kind} {part.name!r}: Lava has no fixed-point {type(part).__name__}; what can be exported is "
            f"{', '.join(each.__name__ for each in known)}"
        )
    return emitter(part, name, store)
