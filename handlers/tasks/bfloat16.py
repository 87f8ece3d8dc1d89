"""BF16, which numpy lacks: its tensors are arrays of float32 whose values BF16 holds, and 16 bits each on the wire.

BF16 is the upper half of a float32: sign, the 8 bits of its exponent, and 7 of its 23 bits of mantissa.
"""

import numpy as np

__all__ = ["LARGEST", "narrow", "widen"]

LARGEST = float(np.array(0x7F7F0000, np.uint32).view(np.float32))

_HALF = 0x7FFF
_QUIET_NAN = 0x0040


def widen(bits: np.ndarray) -> np.ndarray:
    """Return float32 of the same shape for the bits of BF16 (uint16). Exact."""
    wide = bits.astype(np.uint32)
    wide <<= 16  # in place: an array stays an array even where it has no axis
    return wide.view(np.float32)


def narrow(array: np.ndarray) -> np.ndarray:
    """Return the bits of BF16 (uint16, C-contiguous) nearest to float32 elements, of two equally near the even ones.

    What is nearer to the next power of two than to `LARGEST` becomes infinite. NaN stays NaN.
    """
    flat = array.reshape(-1)
    bits = flat.view(np.uint32)
    upper = bits >> 16
    rounded = (bits + (_HALF + (upper & 1))) >> 16
    return np.where(np.isnan(flat), upper | _QUIET_NAN, rounded).astype(np.uint16).reshape(array.shape)
