"""Which backends the conformance suite runs on."""

from collections.abc import Iterator
from typing import Any

import pytest

from neurosim.backend import Backend, Runner, get_backend, load_backend_class, registered
from neurosim.compile_network import compile
from neurosim.events import Events
from neurosim.network import Network

LAVA = "lava"
ON_A_CHIP = {"lava-loihi"}  # tested only where asked for by name


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that takes `backend_name` once for each backend, marked by its name where that is a marker."""
    if "backend_name" not in metafunc.fixturenames:
        return
    names = metafunc.config.getoption("backend") or sorted(set(registered()) - ON_A_CHIP)
    unknown = sorted(set(names) - set(registered()))
    if unknown:
        raise pytest.UsageError(f"unknown backend {', '.join(unknown)}; registered: {', '.join(sorted(registered()))}")
    marks = {LAVA: [pytest.mark.lava]}
    metafunc.parametrize(
        "backend_name", [pytest.param(name, marks=marks.get(name, [])) for name in names], scope="session"
    )


@pytest.fixture(scope="session")
def backend(request: pytest.FixtureRequest, backend_name: str) -> Backend:
    """The backend under test; one that was named on the command line must be there, others may be missing."""
    try:
        status = load_backend_class(backend_name).status()
        reason = None if status.available else status.detail
    except ImportError as error:
        reason = f"cannot be imported: {error}"
    if reason is not None:
        message = f"backend {backend_name!r} is not available: {reason}"
        if request.config.getoption("backend"):
            pytest.fail(message)
        pytest.skip(message)
    return get_backend(backend_name)


@pytest.fixture
def lava(request: pytest.FixtureRequest) -> Any:
    """The class of the Lava backend, where Lava is installed and no other backend was asked for."""
    asked = request.config.getoption("backend")
    if asked and LAVA not in asked:
        pytest.skip(f"asked for {', '.join(asked)} only")
    neurosim_lava = pytest.importorskip("neurosim_lava", reason="the package neurosim_lava is not on the path")
    status = neurosim_lava.LavaBackend.status()
    if not status.available:
        pytest.skip(f"backend 'lava' is not available: {status.detail}")
    return neurosim_lava.LavaBackend


@pytest.fixture
def lava_runner(lava: Any) -> Iterator[Any]:
    """Open networks on Lava; whatever is still open is closed after the test."""
    opened: list[Runner] = []

    def open_network(network: Network, **options: float) -> Runner:
        runner: Runner = lava(**options).open(compile(network))
        opened.append(runner)
        return runner

    yield open_network
    for runner in opened:
        runner.close()


@pytest.fixture
def no_events() -> Any:
    """A function that returns events without a single spike."""
    from neurosim.events import events_from_dense

    def make(n_samples: int, n_steps: int, n_inputs: int) -> Events:
        return events_from_dense([[[0] * n_inputs] * n_steps] * n_samples)

    return make
