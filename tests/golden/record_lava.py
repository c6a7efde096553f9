"""Record Lava's tour example on Lava itself: ``python tests/golden/record_lava.py`` where lava-nc 0.10.0 is installed.

Plain Lava, nothing of neurosim. The network is that of Lava's tutorial "tour through Lava" (three LIF driven by biases, a
Dense of the weights that the tutorial prints, two LIF), with its floats in units of 1/16 of a weight; ``tour`` holds
the integers.
"""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

N_STEPS = 100
FILE = Path(__file__).parent / "lava-tour.json"


def tour() -> dict[str, Any]:
    """Return the tour's parameters in chip integers: vth 10, du = dv = 0.1, bias (1.1, 1.2, 1.3), printed weights."""
    unit, one = 16, 4096
    weights = [[0.39348157, 0.11634913, 0.17421253], [0.51148951, 0.9046173, 0.04863679]]
    decay = round(0.1 * one)
    return {
        "lif": {"du": decay - 1, "dv": decay, "vth": 10 * unit},
        "bias_mant": [round(bias * unit * 64) for bias in (1.1, 1.2, 1.3)],
        "weights": [[round(w * unit) for w in row] for row in weights],
    }


def record() -> dict[str, list[list[int]]]:
    """Run the tour on Lava; return the voltages and spikes of both groups, one row per step."""
    import numpy as np
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi1SimCfg
    from lava.proc.dense.process import Dense
    from lava.proc.lif.process import LIF
    from lava.proc.monitor.process import Monitor

    parameters = tour()
    lif1 = LIF(shape=(3,), bias_mant=np.array(parameters["bias_mant"]), **parameters["lif"])
    dense = Dense(weights=np.array(parameters["weights"]))
    lif2 = LIF(shape=(2,), **parameters["lif"])
    lif1.s_out.connect(dense.s_in)
    dense.a_out.connect(lif2.a_in)
    probed = {"lif1/v": lif1.v, "lif2/v": lif2.v, "lif1/spikes": lif1.s_out, "lif2/spikes": lif2.s_out}
    monitors = {name: Monitor() for name in probed}
    for name, monitor in monitors.items():
        monitor.probe(probed[name], N_STEPS)
    lif2.run(condition=RunSteps(num_steps=N_STEPS), run_cfg=Loihi1SimCfg(select_tag="fixed_pt"))
    found = {}
    for name, monitor in monitors.items():
        (process,) = monitor.get_data().values()
        (values,) = process.values()
        found[name] = values.astype(int).tolist()
    lif2.stop()
    return found


def main() -> None:
    """Write the file anew."""
    from importlib.metadata import version

    made_by = f"lava-nc {version('lava-nc')}, Python {platform.python_version()}, tests/golden/record_lava.py"
    FILE.write_text(json.dumps({"made_by": made_by, "result": record()}, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
