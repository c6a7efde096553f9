"""Describe the machine and the versions that results were measured with."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

from benchmarks.ceiling import find_compiler
from neurosim.version import VERSION


def describe_machine() -> dict[str, str]:
    """Return what one must know to judge the figures; nothing that names the machine's owner or place."""
    described = {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "processor": processor(),
        "cores": str(os.cpu_count()),
        "caches": caches(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "numpy": version("numpy"),
        "numba": version("numba"),
        "neurosim": VERSION,
        "C compiler": compiler_version(),
    }
    if hasattr(os, "getloadavg"):
        described["load before"] = f"{os.getloadavg()[0]:.2f}"  # above 0.5 the machine was busy
    return described


def processor() -> str:
    """Return the processor's name."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def caches() -> str:
    """Return the sizes of the data caches that the first core sees."""
    found = []
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        if (folder / "type").read_text().strip() != "Instruction":
            found.append(f"L{(folder / 'level').read_text().strip()} {(folder / 'size').read_text().strip()}")
    return ", ".join(found) or "unknown"


def compiler_version() -> str:
    """Return the first line that the C compiler says about itself."""
    compiler = find_compiler()
    if compiler is None:
        return "none: the C programs are left out"
    said = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout
    return said.splitlines()[0] if said else compiler
