"""The compiled kernels; each has a plain numpy twin of the same name in `neurosim.reference`."""
