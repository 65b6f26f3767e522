"""Square QAM with Gray labels: map messages to symbols, decide on received symbols."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from isac_models.errors import UserError

Values = NDArray[Any]
Messages = NDArray[np.uint8]

ORDERS = (4, 16, 64, 256)
CHUNK = 8192
"""Symbols decided at a time, so that the temporaries stay in the cache."""


class Constellation:
    """Gray-labelled square QAM of unit mean energy.

    The upper half of a message's bits chooses the real part, the lower half the imaginary part, each as the
    Gray code of the level. Neighbouring points differ in one bit.

    Raises UserError for an order other than 4, 16, 64 or 256.
    """

    def __init__(self, order: int, dtype: DTypeLike = np.complex64) -> None:
        if order not in ORDERS:
            raise UserError(f"order must be 4, 16, 64 or 256 (square QAM), not {order!r}")
        self.order = order
        self.bits = order.bit_length() - 1
        """Bits of a message."""
        self._levels = 1 << (self.bits // 2)
        self._half_distance = math.sqrt(1.5 / (order - 1))
        level = np.arange(self._levels)
        self._gray = (level ^ (level >> 1)).astype(np.uint8)
        amplitude = np.empty(self._levels)
        amplitude[self._gray] = self._half_distance * (2 * level - (self._levels - 1))
        points = (amplitude[:, None] + 1j * amplitude).reshape(-1)
        self.points: Values = points.astype(dtype)
        """Symbols s(m), indexed by the message: (M,)."""
        self.points.flags.writeable = False

    def encode(self, message: Messages) -> Values:
        """Symbols s(m) of messages: (n,) to (n,).

        Raises UserError for a message that is not below the order.
        """
        try:
            symbols: Values = self.points.take(message)
        except IndexError:
            raise UserError(f"message {int(np.max(message))} must be below the order {self.order}") from None
        return symbols

    def decide(self, received: Values, csi: Values) -> Messages:
        """Maximum-likelihood messages argmin_m |y - κ s(m)|² (Sec. III-C): received y, csi κ, (n,) to (n,).

        Slices y/κ into levels, which is the same decision as `decide_exhaustive`. Where κ is zero every
        message is as likely as any other, and some message is returned.
        """
        decided = np.empty(received.shape, np.uint8)
        slice_chunk = self._signs if self.order == 4 else self._slice
        for first in range(0, received.size, CHUNK):
            part = slice(first, first + CHUNK)
            # Real arithmetic, one rounding a step: a result does not depend on its place in the batch.
            y_re, y_im, k_re, k_im = received[part].real, received[part].imag, csi[part].real, csi[part].imag
            real = y_re * k_re
            real += y_im * k_im
            imaginary = y_im * k_re
            imaginary -= y_re * k_im
            decided[part] = slice_chunk(real, imaginary, k_re, k_im)
        return decided

    def decide_exhaustive(self, received: Values, csi: Values) -> Messages:
        """The same decision by its definition: every |y - κ s(m)|² computed and compared."""
        distance: Values = np.abs(received[:, None] - csi[:, None] * self.points)
        return np.asarray(distance.argmin(axis=1), np.uint8)

    def bit_errors(self, sent: Messages, decided: Messages) -> int:
        """Number of bits in which two sequences of messages (n,) differ."""
        return int(np.bitwise_count(sent ^ decided).sum(dtype=np.int64))

    def _signs(self, real: Values, imaginary: Values, _k_re: Values, _k_im: Values) -> Messages:
        """Four points: the signs of y κ* decide, whatever |κ|."""
        message = (real > 0).view(np.uint8)
        message <<= 1
        message |= (imaginary > 0).view(np.uint8)
        return message

    def _slice(self, real: Values, imaginary: Values, k_re: Values, k_im: Values) -> Messages:
        """Levels of Re and Im of y κ* / |κ|², counted in distances from the lowest point."""
        distance = k_re * k_re
        distance += k_im * k_im
        distance *= distance.dtype.type(2 * self._half_distance)
        # A κ of zero has y κ* = 0 as well: keep 0/0 away, any level is right.
        np.maximum(distance, np.finfo(distance.dtype).tiny, out=distance)
        message = self._label(real, distance)
        message *= self._levels
        message += self._label(imaginary, distance)
        return message

    def _label(self, part: Values, distance: Values) -> Messages:
        """Gray label of the level nearest to part / distance; overwrites part."""
        part /= distance
        part += part.dtype.type(self._levels / 2)  # level l covers [l, l + 1)
        np.clip(part, 0, self._levels - 1, out=part)
        level: Messages = part.astype(np.uint8)
        # The Gray code l ^ (l >> 1), in place.
        level ^= level >> 1
        return level
