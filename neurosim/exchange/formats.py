"""Which format a model of another framework is in, and what reads it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from neurosim.errors import ConfigError, ModelFileError, NeurosimError, one_line
from neurosim.exchange.imported import Imported
from neurosim.exchange.lowering import CurrentBias
from neurosim.exchange.lowering_neurons import Decay, Spike

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
ZIP_MAGIC = b"PK\x03\x04"
MAX_ERROR = 2000  # characters: some errors list several nodes
FORMATS = ("nir", "lava-dl", "slayer")
#: Fields of `Reading` that one format alone looks at.
ONLY = {"nir": ("spike", "decay", "current_bias", "bits"), "slayer": ("sizes", "weight_scale")}


class Reading(NamedTuple):
    """What a reader must be told, because the file does not say it.

    Attributes
    ----------
    dt : float or None
        Length of a time step, in the file's unit of time (seconds as a rule); NIR needs it.
    spike : {"unit", "impulse"} or None
        Whether a spike counts 1 or 1/dt; NIR needs it.
    decay : {"euler", "exact"}
        How the framework turned time constants into decays per step (NIR).
    current_bias : {"steady", "neuron"}
        What becomes of a bias into a neuron with a current filter (NIR).
    input_values : bool
        Inputs are counts or other integers instead of spikes (NIR).
    bits : int
        Of a weight, 1..8 (NIR).
    sizes : tuple of int, optional
        Neurons of the inputs and of each layer (SLAYER's folders).
    weight_scale : float, optional
        The files hold weights before rounding; the chip's are ``2 round(weight_scale w / 2)`` (SLAYER's folders).
    """

    dt: float | None = None
    spike: Spike | None = None
    decay: Decay = "euler"
    current_bias: CurrentBias = "steady"
    input_values: bool = False
    bits: int = 8
    sizes: tuple[int, ...] | None = None
    weight_scale: float | None = None


def detect_format(path: str | os.PathLike[str]) -> str:
    """Return the format of a file or folder by what is in it: one of `FORMATS`.

    Raises
    ------
    ModelFileError
        If there is nothing, or nothing that is known.
    """
    where = Path(path)
    owner = f"file {str(path)!r}"
    if where.is_dir():
        return "slayer"
    try:
        with where.open("rb") as stream:
            head = stream.read(len(HDF5_MAGIC))
    except FileNotFoundError:
        raise ModelFileError(f"{owner}: does not exist; check the path") from None
    except OSError as error:
        raise ModelFileError(f"{owner}: cannot be read: {error.strerror or error}; check its permissions") from error
    if head.startswith(ZIP_MAGIC):
        raise ModelFileError(
            f"{owner}: is a zip archive, as models of neurosim are: those need no import (neurosim inspect {path}); "
            "weights of torch in one must be exported to NIR first"
        )
    if head != HDF5_MAGIC:
        raise ModelFileError(
            f"{owner}: is no HDF5 file; neurosim imports NIR graphs (.nir), networks of lava-dl (.net) and SLAYER's weight folders"
        )
    from neurosim.hdf5tree import read_tree

    members = read_tree(Path(path))
    for name, found in (("node", "nir"), ("layer", "lava-dl")):
        if name in members:
            return found
    shown = ", ".join(sorted(members)[:5]) or "nothing"
    raise ModelFileError(
        f"{owner}: is an HDF5 file with {shown} at its root; a NIR graph has 'node', a network of lava-dl 'layer'"
    )


def read_model(path: str | os.PathLike[str], reading: Reading, form: str | None = None) -> Imported:
    """Read a model of another framework.

    Parameters
    ----------
    path : path-like
        A .nir file, a .net file of lava-dl or SLAYER, or a folder of SLAYER's weights.
    reading : Reading
    form : str, optional
        One of `FORMATS`; found out where it is None.

    Raises
    ------
    ConfigError
        If something must be told that is not.
    ModelFileError
        If the file cannot be read, or holds what a chip cannot express.
    """
    try:
        form = form or detect_format(path)
        _refuse_unused(reading, form, os.fspath(path))
        return _read(path, reading, form)
    except NeurosimError as error:
        error.args = (one_line(str(error), MAX_ERROR),)  # which quotes the file
        raise


def _refuse_unused(reading: Reading, form: str, path: str) -> None:
    """Refuse what was told and would not be looked at."""
    for name, value in reading._asdict().items():
        wanted_by = next((other for other, names in ONLY.items() if name in names), form)
        if value != Reading._field_defaults[name] and wanted_by != form:
            raise ConfigError(
                f"--{name.replace('_', '-')}: {value} is for {wanted_by}, and {path!r} is {form}; leave it out"
            )


def _read(path: str | os.PathLike[str], reading: Reading, form: str) -> Imported:
    if form == "nir":
        from neurosim.exchange.nirfile import read_nir

        if reading.dt is None or reading.spike is None:
            missing = " and ".join(
                option for option, value in (("--dt", reading.dt), ("--spike", reading.spike)) if value is None
            )
            raise ConfigError(
                f"file {os.fspath(path)!r}: NIR says neither the length of a step nor the size of a spike; give {missing} "
                "(--dt 1e-3; --spike unit for snnTorch and Norse, impulse for Sinabs; docs/import.md)"
            )
        return read_nir(
            path, dt=reading.dt, spike=reading.spike, decay=reading.decay, current_bias=reading.current_bias,
            input_values=reading.input_values, num_weight_bits=reading.bits,
        )  # fmt: skip
    if form == "lava-dl":
        from neurosim.exchange.lavadl import read_net

        return read_net(Path(path))
    if form == "slayer":
        from neurosim.exchange.slayer import read_slayer

        return read_slayer(Path(path), sizes=reading.sizes, weight_scale=reading.weight_scale)
    raise ConfigError(f"unknown format {form!r}; choose one of {', '.join(FORMATS)}")
