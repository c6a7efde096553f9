"""One piece of Lava source text for each kind of connection; nothing here needs Lava."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from neurosim.connections import Conv, Dense, OneToOne, Sparse
from neurosim.errors import FeatureError
from neurosim_lava.emit import Code, Store, call

SIGN_MODE = "from lava.utils.weightutils import SignMode"


def _format(connection: Dense | Sparse) -> dict[str, object]:
    """Return what Dense and Sparse have in common; defaults of Lava are left out."""
    mode = "excitatory" if connection.sign_mode == "null" else str(connection.sign_mode)
    found: dict[str, object] = {
        "weight_exp": connection.weight_exp,
        "num_weight_bits": connection.num_weight_bits,
        "sign_mode": f"SignMode.{mode.upper()}",
    }
    if connection.num_message_bits:
        found["num_message_bits"] = connection.num_message_bits
    return found


def _dense(connection: Dense, name: str, store: Store) -> Code:
    arguments: dict[str, object] = {"weights": store.put(f"{name}_weights", connection.weights)}
    kind = "Dense"
    if connection.delays is not None:
        kind = "DelayDense"
        arguments["delays"] = store.put(f"{name}_delays", connection.delays, np.int64)  # Lava wants this type
    text = call(kind, **arguments, **_format(connection))
    return Code((f"from lava.proc.dense.process import {kind}", SIGN_MODE), text)


def _sparse(connection: Sparse | OneToOne, name: str, store: Store) -> Code:
    sparse = connection.as_sparse()
    row, col = (store.put(f"{name}_{key}", getattr(sparse, key)) for key in ("row", "col"))

    def matrix(values: str) -> str:
        return f"csr_matrix(({values}, ({row}, {col})), shape={tuple(sparse.shape)})"

    arguments: dict[str, object] = {"weights": matrix(store.put(f"{name}_data", sparse.data))}
    kind = "Sparse"
    if sparse.delays is not None:
        kind = "DelaySparse"
        arguments["delays"] = matrix(store.put(f"{name}_delays", sparse.delays, np.int64))  # Lava wants this type
    text = call(kind, **arguments, **_format(sparse))
    imports = (f"from lava.proc.sparse.process import {kind}", "from scipy.sparse import csr_matrix", SIGN_MODE)
    return Code(imports, text)


def _conv(connection: Conv, name: str, store: Store) -> Code:
    text = call(
        "Conv", weight=store.put(f"{name}_weight", connection.weights), input_shape=tuple(connection.input_shape),
        stride=connection.stride, padding=connection.padding, dilation=connection.dilation, groups=connection.groups,
        num_message_bits=connection.num_message_bits,
    )  # fmt: skip
    return Code(("from lava.proc.conv.process import Conv",), text, shaped=True)


#: Connections that Lava has in fixed point; one-to-one is a sparse diagonal there.
CONNECTIONS: dict[type, Callable[[Any, str, Store], Code]] = {
    Dense: _dense,
    Sparse: _sparse,
    OneToOne: _sparse,
    Conv: _conv,
}


def emit_link(connection: Any, name: str, store: Store) -> Code:
    """Return the code of a connection; parameters and errors as in `neurosim_lava.emit.emit_neurons`."""
    emitter = CONNECTIONS.get(type(connection))
    if emitter is None:
        raise FeatureError(
            f"connection {connection.name!r}: Lava has no fixed-point {type(connection).__name__}; what can be exported "
            f"is {', '.join(kind.__name__ for kind in CONNECTIONS)}"
        )
    return emitter(connection, name, store)
