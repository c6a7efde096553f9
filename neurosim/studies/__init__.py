"""Studies over finished models: their energy, suites of them, two runs side by side."""
