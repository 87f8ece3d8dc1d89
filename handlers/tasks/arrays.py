"""Named arrays: what tasks make of a user's input, and what a session takes and returns."""

import numpy as np

__all__ = ["Arrays"]

Arrays = dict[str, np.ndarray]
"""Tensor name -> array; text tensors (OIP BYTES) are arrays of `object` that hold `str`."""
