"""Formats of event files, one module each; `neurosim.data.readers` lists them."""
