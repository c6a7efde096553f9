"""Networks built and trained in snnTorch and in Norse, written by their own NIR writers: what an importer must read.

Needs torch, snntorch and norse; of neurosim it uses the data sets only. ``python -m benchmarks.frameworks --help``.
"""
