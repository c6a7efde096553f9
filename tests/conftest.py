"""Options of the test run."""

import sys
from pathlib import Path

import pytest

# Benchmarks are not installed. At the end of the path the checkout hides nothing: neurosim itself stays the installed one.
sys.path.append(str(Path(__file__).parent.parent))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--backend",
        action="append",
        metavar="NAME",
        help="backend for tests/conformance (may be repeated); default: all that are available",
    )
