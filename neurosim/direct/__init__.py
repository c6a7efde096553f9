"""Training by gradients off the chip, in the chip's arithmetic; needs torch (``pip install neurosim-hal[torch]``)."""
