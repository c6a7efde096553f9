"""Learning on the simulated chip without gradients: low-rank evolution strategies in integers."""
