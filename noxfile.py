"""The checks of this project, each in a virtual environment of its own: ``python -m pip install nox && nox``."""

import nox

nox.needs_version = ">=2024.4"
nox.options.sessions = ["tests", "tests_nojit", "lint"]

#: Tests of the kernels and of what runs them; without those that train, which takes hundreds of generations.
TRAINING = (
    "trainer",
    "generations",
    "fitness_terms",
    "update_settings",
    "other_networks",
    "learn_episodes",
    "activity",
)
NOT_COMPILED = [
    "tests/kernels", "tests/learning", "tests/conformance", *(f"--ignore=tests/learning/test_{name}.py" for name in TRAINING),
]  # fmt: skip


@nox.session
def tests(session: nox.Session) -> None:
    """Run every test on the installed package, then the examples in its docstrings."""
    session.install(".[test]")
    session.run("pytest", "--cov", "--cov-report=", *session.posargs)
    session.run(
        "pytest", "--cov", "--cov-append", "--cov-report=term", "--rootdir=.", "--config-file=pyproject.toml",
        "--doctest-modules", "--doctest-ignore-import-errors", "--pyargs", "neurosim",  # of torch: see session direct
    )  # fmt: skip


@nox.session
def tests_nojit(session: nox.Session) -> None:
    """Run the kernels as plain Python: the same answers, without the compiler."""
    session.install(".[test]")
    # What is compiled cannot be traced: this is the run that shows which lines of the kernels no test reaches.
    session.run("pytest", "--cov", "--cov-report=", *NOT_COMPILED, *session.posargs, env={"NUMBA_DISABLE_JIT": "1"})
    session.run("coverage", "report", "--include=*/neurosim/kernels/*")


@nox.session
def direct(session: nox.Session) -> None:
    """Train by gradients; not among the default sessions, because torch is large."""
    session.install(".[test,torch]")
    session.run("pytest", "tests/direct", *session.posargs)
    session.run(
        "pytest", "--rootdir=.", "--config-file=pyproject.toml", "--doctest-modules", "--pyargs", "neurosim.direct"
    )


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, types and the direction of imports."""
    session.install(".[dev,test]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    session.run("lint-imports", "--no-cache")


@nox.session
def neurobench(session: nox.Session) -> None:
    """Hold our values against NeuroBench's own; not among the default sessions, because torch is large."""
    session.install(".[test]", "neurobench==2.3.*", "snntorch==1.0.*")
    session.run("pytest", "tests/costs/test_neurobench.py", *session.posargs)


@nox.session
def frameworks(session: nox.Session) -> None:
    """Train networks in snnTorch and Norse and import what they write; not among the default sessions: torch, and 40 minutes of training."""
    session.install(
        ".[test]", "snntorch==1.0.*", "nirtorch==2.6.*", "torch", "torchvision", "setuptools_scm>=8", "setuptools"
    )
    # Norse 1.1 is a source distribution; without setuptools_scm pip takes it for version 0.0.0 and goes on to an old one.
    session.install("--no-build-isolation", "norse==1.1.*")
    session.run("pytest", "tests/frameworks", *session.posargs, env={"OMP_NUM_THREADS": "1"})


@nox.session
def datasets(session: nox.Session) -> None:
    """Plug data sets of tonic and torch themselves in; not among the default sessions, because torch is large."""
    session.install(".[test]", "tonic==1.7.*", "torch==2.*")
    session.run("pytest", "tests/data/test_tonic_torch.py", *session.posargs)
