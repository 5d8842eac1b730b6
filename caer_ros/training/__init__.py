"""Data sets, training and evaluation of CAER-Net (extra `train`)."""
