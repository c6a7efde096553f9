"""Train networks in snnTorch and Norse and export them: ``python -m benchmarks.frameworks --out FOLDER``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from benchmarks.frameworks.recipes import RECIPES
from benchmarks.frameworks.train import train


def main() -> None:
    """Read the command line and train what it names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.frameworks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(RECIPES)} (default: all)")
    parser.add_argument("--out", type=Path, required=True, help="folder for NAME.nir, NAME.npz and NAME.json")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, help="instead of each recipe's own")
    parser.add_argument("--samples", type=int, help="learn from the first so many only")
    asked = parser.parse_args()
    unknown = [name for name in asked.names if name not in RECIPES]
    if unknown:
        parser.error(f"unknown network {unknown[0]!r}; networks are {', '.join(RECIPES)}")
    asked.out.mkdir(parents=True, exist_ok=True)
    for name in asked.names or RECIPES:
        recipe = RECIPES[name]
        if asked.epochs is not None:
            recipe = recipe._replace(epochs=asked.epochs)
        if asked.samples is not None:
            recipe = recipe._replace(n_train=asked.samples)
        print(json.dumps(train(name, recipe, asked.out, asked.seed)), flush=True)


if __name__ == "__main__":
    main()
