"""Make Lava's own Process for each kind of connection, with the integers of a request.

Imported only by the worker, after `shim`: this module imports Lava.
"""

# Lava has no types, and is missing in the environments that are checked; so is scipy.
# mypy: disable-error-code="import-not-found, import-untyped"

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.process.ports.ports import AbstractPort, InPort
from lava.magma.core.process.process import AbstractProcess
from lava.proc.conv.process import Conv
from lava.proc.dense.process import DelayDense, Dense
from lava.proc.sparse.process import DelaySparse, Sparse
from lava.utils.weightutils import SignMode
from scipy.sparse import csr_matrix

from neurosim_lava.wire import Arrays

#: The integer model of each Process; Lava takes a float model where a tag is missing or misspelt.
SYNAPSE_MODELS = {
    Dense: "PyDenseModelBitAcc",
    DelayDense: "PyDelayDenseModelBitAcc",
    Sparse: "PySparseModelBitAcc",
    DelaySparse: "PyDelaySparseModelBitAcc",
    Conv: "PyConvModelFixed",
}
SIGN_MODES = {
    "mixed": SignMode.MIXED,
    "excitatory": SignMode.EXCITATORY,
    "inhibitory": SignMode.INHIBITORY,
}


def make_connection(connection: dict[str, Any], i: int, arrays: Arrays) -> AbstractProcess:
    """Return the Lava Process of the i-th connection of a request."""
    bits = connection["num_message_bits"]
    if connection["kind"] == "conv":
        geometry = {name: tuple(connection[name]) for name in ("input_shape", "stride", "padding", "dilation")}
        weight = arrays[f"weights_{i}"].astype(np.int32)
        return Conv(weight=weight, groups=connection["groups"], num_message_bits=bits, **geometry)
    options = {
        "weight_exp": connection["weight_exp"],
        "num_weight_bits": connection["num_weight_bits"],
        "sign_mode": SIGN_MODES[connection["sign_mode"]],
        "num_message_bits": bits,
    }
    # Lava takes delays only as int64, and computes sparse weights in the type it is given.
    delays = arrays[f"delays_{i}"].astype(np.int64) if f"delays_{i}" in arrays else None
    if connection["kind"] == "dense":
        weights = arrays[f"weights_{i}"].astype(np.int32)
        return (
            Dense(weights=weights, **options)
            if delays is None
            else DelayDense(weights=weights, delays=delays, **options)
        )
    place, shape = (arrays[f"row_{i}"], arrays[f"col_{i}"]), tuple(connection["shape"])
    matrix = csr_matrix((arrays[f"data_{i}"].astype(np.int32), place), shape=shape)
    if delays is None:
        return Sparse(weights=matrix, **options)
    return DelaySparse(weights=matrix, delays=csr_matrix((delays, place), shape=shape), **options)


def link(source: AbstractPort, synapses: AbstractProcess, target: InPort) -> None:
    """Connect a connection's Process at both ends; convolutions have ports of shape (x, y, channel), we have lists."""
    if isinstance(synapses, Conv):
        source.reshape(synapses.s_in.shape).connect(synapses.s_in)
        synapses.a_out.flatten().connect(target)
    else:
        source.connect(synapses.s_in)
        synapses.a_out.connect(target)
