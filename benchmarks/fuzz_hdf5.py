"""HDF5 files to damage: NIR graphs, networks of lava-dl, events; bytes, or datasets in a file that is whole."""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fuzz_mutations import Random, changed_array, damaged

MOST_BYTES = 1 << 19  # of a seed: larger files are damaged where it matters less


def nir_seeds() -> list[bytes]:
    """Return small graphs of every node that chips can express."""
    import nir

    one = np.ones(3)
    nodes: dict[str, Any] = {
        "input": nir.Input(np.array([4])),
        "affine": nir.Affine(np.arange(12.0).reshape(3, 4) / 10, np.zeros(3)),
        "lif": nir.CubaLIF(
            tau_mem=one * 1e-2, tau_syn=one * 5e-3, r=one, v_leak=one * 0, v_threshold=one, v_reset=one * 0
        ),
        "linear": nir.Linear(np.eye(3)),
        "li": nir.LI(tau=one * 1e-2, r=one, v_leak=one * 0),
        "output": nir.Output(np.array([3])),
    }
    chain = nir.NIRGraph(nodes, list(zip(list(nodes)[:-1], list(nodes)[1:], strict=True)))
    picture = np.ones((2, 4, 4))
    maps: dict[str, Any] = {
        "input": nir.Input(np.array([1, 6, 6])),
        "conv": nir.Conv2d((6, 6), np.ones((2, 1, 3, 3)) / 9, 1, 0, 1, 1, np.zeros(2)),
        "if": nir.IF(r=picture, v_threshold=picture, v_reset=picture * 0),
        "pool": nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        "flatten": nir.Flatten({"input": np.array([2, 2, 2])}, 0, -1),
        "affine": nir.Affine(np.ones((3, 8)) / 8, np.zeros(3)),
        "lif": nir.LIF(tau=one * 1e-2, r=one, v_leak=one * 0, v_threshold=one, v_reset=one * 0),
        "output": nir.Output(np.array([3])),
    }
    pictures = nir.NIRGraph(maps, list(zip(list(maps)[:-1], list(maps)[1:], strict=True)))
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for graph in (chain, pictures):
            path = Path(folder) / "x.nir"
            nir.write(path, graph)
            found.append(path.read_bytes())
    return found


def shd_seeds() -> list[bytes]:
    """Return recordings in the form of the Spiking Heidelberg Digits."""
    import h5py

    rng = np.random.default_rng(3)
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        times = file.create_dataset("spikes/times", (5,), dtype=h5py.vlen_dtype(np.float32))
        units = file.create_dataset("spikes/units", (5,), dtype=h5py.vlen_dtype(np.uint16))
        for i in range(5):
            n = int(rng.integers(20, 60))
            times[i], units[i] = np.sort(rng.random(n)).astype(np.float32), rng.integers(0, 700, n).astype(np.uint16)
        file["labels"] = rng.integers(0, 20, 5).astype(np.uint8)
        file["extra/speaker"] = rng.integers(0, 12, 5).astype(np.uint8)
    return [buffer.getvalue()]


def small_files(folder: Path | None, pattern: str) -> list[bytes]:
    """Return the small ones among real files, if there are any."""
    found = sorted(folder.rglob(pattern)) if folder is not None else []
    return [path.read_bytes() for path in found if path.stat().st_size <= MOST_BYTES]


def damaged_hdf5(content: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Damage the bytes, or write a file with other datasets."""
    if random.random() < 0.5:
        return damaged(content, others, random)
    try:
        return _rebuilt(content, random)
    except (
        OSError,
        ValueError,
        TypeError,
        LookupError,
        RuntimeError,
        MemoryError,
    ):  # a change that h5py itself cannot make
        return damaged(content, others, random)


def _rebuilt(content: bytes, random: Random) -> bytes:
    import h5py

    buffer = io.BytesIO(content)
    with h5py.File(buffer, "r+") as file:
        names: list[str] = []
        file.visit(names.append)
        for _ in range(int(random.integers(1, 4))):
            name = names[int(random.integers(len(names)))]
            if name not in file:
                continue
            other = names[int(random.integers(len(names)))]
            _change(file, name, other, random)
        file.flush()
    return buffer.getvalue()


def _change(file: Any, name: str, other: str, random: Random) -> None:
    """Change one group or dataset."""
    import h5py

    node, action = file[name], int(random.integers(10))
    if action == 0:
        del file[name]
        return
    if action == 1:
        file.move(name, f"{name}{random.choice(['x', '9', '0'])}")
        return
    if isinstance(node, h5py.Group):
        if action == 2:
            node["self"] = node  # a circle of groups
        elif action == 3:
            node["away"] = h5py.ExternalLink("/etc/hostname", "/x")
        elif action == 4:
            node["soft"] = h5py.SoftLink(f"/{other}")
        elif action < 8:
            node[f"more{random.integers(9)}"] = np.arange(3)
        return
    value = node[()] if node.nbytes < MOST_BYTES else None
    del file[name]
    if action == 2:
        kwargs = {"chunks": True, "compression": "gzip", "fillvalue": 1}
        file.create_dataset(name, shape=(1 << int(random.choice([20, 28, 34, 40])),), dtype="f8", **kwargs)
    elif action == 3:
        file[name] = str(
            random.choice(["Input", "LIF", "Affine", "CUBA", "dense", "conv", "flatten", "?", "a" * 5000, ""])
        )
    elif action == 4:
        file[name] = [0, -1, 1, 2**31, 2**62, 1e300, float("nan"), float("inf"), 0.5, True][int(random.integers(10))]
    elif action == 5:
        file[name] = np.full((2, 3), float(random.choice([0, -1, 1e300, np.nan, np.inf])))
    elif isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        file[name] = changed_array(value, random)
    elif isinstance(value, np.generic) and value.dtype.kind in "biuf":
        with np.errstate(all="ignore"):
            file[name] = (value * random.choice([-1, 0, 2, 1000])).astype(value.dtype)
    elif value is not None:
        file[name] = value


class _Shared:
    """The one child in the place of others: it goes on after each file."""

    reader: Any = None

    def __init__(self, *, keep_after_error: bool = False) -> None:
        pass

    def __enter__(self) -> Any:
        return self.reader

    def __exit__(self, *args: object) -> None:
        pass


def read_with_one_child(modules: Sequence[str]) -> None:
    """Let this process read all HDF5 files with one child, which would otherwise be started anew for each.

    Parameters
    ----------
    modules : sequence of str
        What imports `neurosim.hdf5tree`; those that are not there are passed over.
    """
    from neurosim import hdf5tree

    _Shared.reader = hdf5tree.TreeReader(keep_after_error=True)
    shared = {"TreeReader": _Shared} | {
        name: getattr(_Shared.reader, name) for name in ("read_tree", "describe", "read_rows")
    }
    taken = {name: getattr(hdf5tree, name) for name in shared}
    for module in modules:
        if find_spec(module) is not None:
            import_module(module)
    for module in [each for name, each in sys.modules.items() if name.startswith("neurosim.")]:
        for name, original in taken.items():
            if getattr(module, name, None) is original:
                setattr(module, name, shared[name])
