"""The kernels again in plain numpy, as slow and plain as possible: the specification."""
