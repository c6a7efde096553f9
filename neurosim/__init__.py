"""neurosim: spiking networks in a neuromorphic chip's integers, learning on the chip, with exact operation counts.

Names below load what they need when first used; importing this package does nothing else.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from neurosim.version import VERSION as __version__

if TYPE_CHECKING:
    from neurosim.backend import get_backend as get_backend
    from neurosim.bounds import voltage_error_bound as voltage_error_bound
    from neurosim.chip import load_chip as load_chip
    from neurosim.compare import compare_backends as compare_backends
    from neurosim.compare import compare_results as compare_results
    from neurosim.compile_network import compile as compile
    from neurosim.config import TrainConfig as TrainConfig
    from neurosim.costs.latency import latency as latency
    from neurosim.costs.percore import count_per_core as count_per_core
    from neurosim.costs.timetable import load_time_table as load_time_table
    from neurosim.costs.workload import workload as workload
    from neurosim.data.binning import bin_events as bin_events
    from neurosim.data.cochlea import cochlea_events as cochlea_events
    from neurosim.data.crossing import crossing_events as crossing_events
    from neurosim.data.datasets import from_dataset as from_dataset
    from neurosim.data.datasets import task_from_datasets as task_from_datasets
    from neurosim.data.encode import latency_code as latency_code
    from neurosim.data.encode import rate_code as rate_code
    from neurosim.data.eventtype import EVENT as EVENT
    from neurosim.data.labelled import load_labelled as load_labelled
    from neurosim.data.poisson import poisson_code as poisson_code
    from neurosim.data.population import population_code as population_code
    from neurosim.data.readers import open_events as open_events
    from neurosim.data.video import video_events as video_events
    from neurosim.energy import energy as energy
    from neurosim.energy import load_energy_table as load_energy_table
    from neurosim.events import Events as Events
    from neurosim.events import events_from_dense as events_from_dense
    from neurosim.exchange.arrays import ArrayLayer as ArrayLayer
    from neurosim.exchange.arrays import from_arrays as from_arrays
    from neurosim.exchange.lavadl import read_net as read_net
    from neurosim.exchange.nirexport import write_nir as write_nir
    from neurosim.exchange.nirfile import read_nir as read_nir
    from neurosim.exchange.slayer import read_slayer as read_slayer
    from neurosim.experiment import train as train
    from neurosim.modelfile import load_model as load_model
    from neurosim.modelfile import save_model as save_model
    from neurosim.network import LIF as LIF
    from neurosim.network import Connection as Connection
    from neurosim.network import Conv as Conv
    from neurosim.network import ConvConnection as ConvConnection
    from neurosim.network import CubaLIF as CubaLIF
    from neurosim.network import Dense as Dense
    from neurosim.network import Input as Input
    from neurosim.network import Network as Network
    from neurosim.network import OneToOne as OneToOne
    from neurosim.network import Probe as Probe
    from neurosim.network import Sparse as Sparse
    from neurosim.network import SparseConnection as SparseConnection
    from neurosim.neurons import ATRLIF as ATRLIF
    from neurosim.neurons import RF as RF
    from neurosim.neurons import Delta as Delta
    from neurosim.neurons import GradedVec as GradedVec
    from neurosim.neurons import LIFRefractory as LIFRefractory
    from neurosim.neurons import LIFReset as LIFReset
    from neurosim.neurons import MultiSpikeLIF as MultiSpikeLIF
    from neurosim.neurons import ProdNeuron as ProdNeuron
    from neurosim.neurons import RFIzhikevich as RFIzhikevich
    from neurosim.neurons import Sigma as Sigma
    from neurosim.neurons import SigmaDelta as SigmaDelta
    from neurosim.neurons import TernaryLIF as TernaryLIF
    from neurosim.neurons import rotation as rotation
    from neurosim.quantize import quantize as quantize
    from neurosim.quantized import weight_scale as weight_scale
    from neurosim.studies.importstudy import study_import as study_import
    from neurosim.studies.quanterror import quantisation_report as quantisation_report

#: Every public name: its module, and its name there.
_PUBLIC: dict[str, tuple[str, str]] = {
    "ATRLIF": ("neurons", "ATRLIF"),
    "ArrayLayer": ("exchange.arrays", "ArrayLayer"),
    "Connection": ("network", "Connection"),
    "Conv": ("network", "Conv"),
    "ConvConnection": ("network", "ConvConnection"),
    "CubaLIF": ("network", "CubaLIF"),
    "Delta": ("neurons", "Delta"),
    "Dense": ("network", "Dense"),
    "EVENT": ("data.eventtype", "EVENT"),
    "Events": ("events", "Events"),
    "GradedVec": ("neurons", "GradedVec"),
    "Input": ("network", "Input"),
    "LIF": ("network", "LIF"),
    "LIFRefractory": ("neurons", "LIFRefractory"),
    "LIFReset": ("neurons", "LIFReset"),
    "MultiSpikeLIF": ("neurons", "MultiSpikeLIF"),
    "Network": ("network", "Network"),
    "OneToOne": ("network", "OneToOne"),
    "Probe": ("network", "Probe"),
    "ProdNeuron": ("neurons", "ProdNeuron"),
    "RF": ("neurons", "RF"),
    "RFIzhikevich": ("neurons", "RFIzhikevich"),
    "Sigma": ("neurons", "Sigma"),
    "SigmaDelta": ("neurons", "SigmaDelta"),
    "Sparse": ("network", "Sparse"),
    "SparseConnection": ("network", "SparseConnection"),
    "TernaryLIF": ("neurons", "TernaryLIF"),
    "TrainConfig": ("config", "TrainConfig"),
    "bin_events": ("data.binning", "bin_events"),
    "cochlea_events": ("data.cochlea", "cochlea_events"),
    "compare_backends": ("compare", "compare_backends"),
    "compare_results": ("compare", "compare_results"),
    "compile": ("compile_network", "compile"),
    "count_per_core": ("costs.percore", "count_per_core"),
    "crossing_events": ("data.crossing", "crossing_events"),
    "energy": ("energy", "energy"),
    "events_from_dense": ("events", "events_from_dense"),
    "from_arrays": ("exchange.arrays", "from_arrays"),
    "from_dataset": ("data.datasets", "from_dataset"),
    "get_backend": ("backend", "get_backend"),
    "latency": ("costs.latency", "latency"),
    "latency_code": ("data.encode", "latency_code"),
    "load_chip": ("chip", "load_chip"),
    "load_energy_table": ("energy", "load_energy_table"),
    "load_labelled": ("data.labelled", "load_labelled"),
    "load_model": ("modelfile", "load_model"),
    "load_time_table": ("costs.timetable", "load_time_table"),
    "open_events": ("data.readers", "open_events"),
    "poisson_code": ("data.poisson", "poisson_code"),
    "population_code": ("data.population", "population_code"),
    "quantisation_report": ("studies.quanterror", "quantisation_report"),
    "quantize": ("quantize", "quantize"),
    "rate_code": ("data.encode", "rate_code"),
    "read_net": ("exchange.lavadl", "read_net"),
    "read_nir": ("exchange.nirfile", "read_nir"),
    "read_slayer": ("exchange.slayer", "read_slayer"),
    "rotation": ("neurons", "rotation"),
    "save_model": ("modelfile", "save_model"),
    "study_import": ("studies.importstudy", "study_import"),
    "task_from_datasets": ("data.datasets", "task_from_datasets"),
    "train": ("experiment", "train"),
    "video_events": ("data.video", "video_events"),
    "voltage_error_bound": ("bounds", "voltage_error_bound"),
    "weight_scale": ("quantized", "weight_scale"),
    "workload": ("costs.workload", "workload"),
    "write_nir": ("exchange.nirexport", "write_nir"),
}

__all__ = [*_PUBLIC, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'neurosim' has no attribute {name!r}; public names are {', '.join(_PUBLIC)}")
    module, attribute = _PUBLIC[name]
    value = getattr(import_module(f"neurosim.{module}"), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})


class _Package(ModuleType):
    """The package as an object whose public names are not hidden by modules of the same name."""

    def __setattr__(self, name: str, value: Any) -> None:
        # Loading the module neurosim.energy or neurosim.quantize would put it where the function of that name belongs.
        if not (name in _PUBLIC and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
