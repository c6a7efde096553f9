"""The parts of an exported script that are the same for every network."""

HEAD = '''"""Network {network} in plain Lava Processes, written by neurosim {version}.

Needs lava-nc {lava}, the last release, on Python 3.10 (for later ones see the end of this text):

    python -m pip install lava-nc=={lava}

Weights, biases and input spikes lie in {beside}, beside this file. As a program it plays the input, sample by
sample, on Lava's fixed-point models of Loihi 2, prints the number of spikes, and saves in a file whose name ends with
"-result.npz" the output of every group ("GROUP.spikes": n_samples, n_steps, n) and its state at the end ("GROUP.v" and so
on: n_samples, n). These are the integers that neurosim computes. Row t is Lava's step t + 1.

To go on in Lava: `build` makes and connects the Processes. On a chip, with Intel's lava-loihi, another run configuration
(Loihi2HwCfg) replaces the one in `run`, and input and output must be moved by what lava-loihi offers; this was not tried.

Good to know about Lava: a network that was stopped cannot run again, so each sample is built anew; reading a Var costs some
25 microseconds per element; without select_tag="fixed_pt" Lava takes its models in floats.

Python 3.11 to 3.13: pip refuses Lava there, since its metadata say so. It runs all the same if it is installed with

    python -m pip install --no-deps --ignore-requires-python lava-nc=={lava}
    python -m pip install numpy networkx==2.8.7 scipy asteval scikit-learn

and if one of its modules is imported as below: it uses an instance of its dataclass ByteEncoder as the default of a field,
which must be hashable since Python 3.11.
"""

import sys
from pathlib import Path

import numpy as np

{shim}
{imports}

FILE = Path(__file__).resolve()
ARRAYS = np.load(FILE.with_name({npz}))

N_SAMPLES, N_STEPS = {n_samples}, {n_steps}

#: Groups that hang together, by one of them: Lava runs what is connected to the Process that is started.
PARTS = {parts}

#: What is read of each group at the end of a sample.
STATES = {states}

#: The group whose largest final voltage is the answer, if there is one.
READOUT = {readout}


def build(sample):
    """Make and connect all Processes; return the neuron groups, and what records their output, by name."""
'''

SHIM = """if sys.version_info >= (3, 11):
    import dataclasses

    _dataclass = dataclasses.dataclass

    def _hashable(cls=None, /, **options):
        def decorate(decorated):
            more = {"unsafe_hash": True} if decorated.__name__ == "ByteEncoder" else {}
            return _dataclass(**options, **more)(decorated)

        return decorate if cls is None else decorate(cls)

    dataclasses.dataclass = _hashable
    try:
        import lava.magma.compiler.var_model  # noqa: F401
    finally:
        dataclasses.dataclass = _dataclass
"""

RUN = '''
    recorders = {}
    for name, neuron in neurons.items():
        recorders[name] = Sink(shape=neuron.s_out.shape, buffer=N_STEPS)
        neuron.s_out.connect(recorders[name].a_in)
    return neurons, recorders


def run(sample):
    """Play one sample on a network at rest; return spikes (n_steps, n) and final states (n,) by name."""
    neurons, recorders = build(sample)
    result = {}
    for first, part in PARTS.items():
        neurons[first].run(condition=RunSteps(num_steps=N_STEPS), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
        try:
            for name in part:
                result[f"{name}.spikes"] = recorders[name].data.get().astype(np.int32).T
                for state in STATES[name]:
                    result[f"{name}.{state}"] = getattr(neurons[name], state).get().astype(np.int32)
        finally:
            neurons[first].stop()
    return result


def main():
    """Run all samples, print and save what comes out."""
    results = []
    for sample in range(N_SAMPLES):
        results.append(run(sample))
        counts = [f"{name} {np.count_nonzero(results[-1][name + '.spikes'])}" for name in STATES]
        answer = "" if READOUT is None else f"; answer {int(results[-1][READOUT + '.v'].argmax())}"
        print(f"sample {sample}: spikes of {', '.join(counts)}{answer}", flush=True)
    path = FILE.with_name(FILE.stem + "-result.npz")
    np.savez(path, **{key: np.stack([result[key] for result in results]) for key in results[0]})
    print(path)


if __name__ == "__main__":
    main()
'''
