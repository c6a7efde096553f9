"""Lava Processes with their models, alone in this folder: Lava's compiler executes every file beside them."""
