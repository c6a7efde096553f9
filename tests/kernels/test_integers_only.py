"""Kernels and their twins hold no float: not in the source, and nowhere else to come from.

Training by gradients is not done on a chip: its kernels, named after it, are in floats.
"""

import ast
from pathlib import Path

import pytest

import neurosim

PACKAGE = Path(neurosim.__file__).parent
FILES = [*sorted((PACKAGE / "kernels").glob("*.py")), *sorted((PACKAGE / "reference").glob("*.py"))]
FILES.remove(PACKAGE / "kernels" / "jit.py")  # no arithmetic; its `/` join folders
FILES = [path for path in FILES if not path.name.startswith("direct") or path.name == "directions.py"]
FILES += [
    PACKAGE / name
    for name in ("fixedpoint.py", "logtables.py", "codes.py", "scratch.py", "learnplan.py", "linkplan.py")
]
FLOAT_NAMES = {
    "float", "complex", "float16", "float32", "float64", "floating", "double", "true_divide", "divide", "mean", "std",
    "var", "average", "sqrt", "exp", "exp2", "log", "log2", "rint", "floor", "ceil", "round", "random",
}  # fmt: skip


def floats_in(source: str) -> list[str]:
    """Return everything in a source that makes floats: literals, true division, names of float types and functions."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, (float, complex)):
            found.append(f"line {node.lineno}: literal {node.value}")
        elif isinstance(node, (ast.BinOp, ast.AugAssign)) and isinstance(node.op, ast.Div):
            found.append(f"line {node.lineno}: true division")
        elif isinstance(node, ast.Name) and node.id in FLOAT_NAMES - {"exp2", "log2"}:  # names of tables
            found.append(f"line {node.lineno}: {node.id}")
        elif isinstance(node, ast.Attribute) and node.attr in FLOAT_NAMES:
            table = isinstance(node.value, ast.Call) and node.attr in ("exp2", "log2")  # log_tables().exp2
            register = (
                isinstance(node.value, ast.Name) and node.value.id == "group" and node.attr == "exp"
            )  # ProdNeuron
            if not (table or register):
                found.append(f"line {node.lineno}: .{node.attr}")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_float_in(path: Path) -> None:
    assert floats_in(path.read_text()) == []


@pytest.mark.parametrize("source", ["x = 1.5", "x = a / b", "x /= 2", "np.float64(x)", "float(x)", "x.mean()", "1e3"])
def test_the_search_finds(source: str) -> None:
    assert floats_in(source)
