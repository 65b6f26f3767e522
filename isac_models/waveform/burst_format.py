"""What a burst is made of: preamble, orthogonal pilots, header, payload with phase pilots.

A burst is one coherence block (spec §1); its payload symbols are the snapshots of the link.

    | preamble | orthogonal pilots | header | p d…d p d…d … p | guard |
      v z[n]     P[:, n]/√K          v h[n]   v s(m), p known     silence

All but the orthogonal pilots go through the beam v.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import hadamard

from isac_models.constellation import ORDERS
from isac_models.errors import UserError
from isac_models.waveform.pulse import RootRaisedCosine

Values = NDArray[Any]

SHORT, SHORT_REPEATS, LONG = 16, 8, 63
"""Preamble: a Zadoff–Chu sequence of 16 eight times (coarse, then fine CFO), one of 63 (timing)."""
REFERENCE_POWER = 10**-1.2
"""Mean digital power of what is sent per sample, summed over the channels, full scale being 1: -12 dBFS for a
vector of energy E_tx."""
HEADER_BITS, HEADER_REPEATS = 48, 2
"""Burst number 24, flags 8, CRC-16; each bit twice, BPSK."""


def zadoff_chu(length: int, root: int) -> Values:
    """z[n] = exp(-jπ u n (n + L mod 2) / L): (length,) complex128 of unit modulus.

    Source: Chu, Polyphase codes with good periodic correlation properties, IEEE Trans. IT, 1972.
    """
    n = np.arange(length)
    return np.asarray(np.exp(-1j * np.pi * root * n * (n + length % 2) / length))


@dataclass(frozen=True)
class BurstFormat:
    """Layout of a burst in symbols, and of its slot in samples.

    `payload` message-bearing symbols N of `order` points over `antennas`; a phase pilot stands before every
    `pilot_spacing` of them and one behind the last; the orthogonal pilots come `pilot_repeats` times.
    `guard` is the silence behind a burst in symbols: the noise is measured there, and delays have room.

    Raises UserError for what cannot be.
    """

    antennas: int = 16
    order: int = 4
    payload: int = 256
    pilot_spacing: int = 16
    pilot_repeats: int = 1
    guard: int = 64
    samples_per_symbol: int = 2
    rolloff: float = 0.35
    half_span: int = 10

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise UserError(f"order must be one of {ORDERS}, not {self.order!r}")
        least = {"antennas": 1, "payload": 16, "pilot_spacing": 1, "pilot_repeats": 1, "half_span": 4}
        for name, low in {**least, "guard": 2 * self.half_span + 16}.items():
            if getattr(self, name) < low:
                raise UserError(f"{name} must be at least {low}, not {getattr(self, name)}")
        if self.payload % self.pilot_spacing:
            raise UserError(
                f"payload {self.payload} must be a multiple of pilot_spacing {self.pilot_spacing}"
            )
        _ = self.pulse

    @cached_property
    def pulse(self) -> RootRaisedCosine:
        """The pulse of every symbol."""
        return RootRaisedCosine(self.samples_per_symbol, self.rolloff, self.half_span)

    @cached_property
    def preamble(self) -> Values:
        """Known symbols z, (P,) complex128 of unit modulus."""
        return np.concatenate([np.tile(zadoff_chu(SHORT, 1), SHORT_REPEATS), zadoff_chu(LONG, 25)])

    @cached_property
    def orthogonal(self) -> Values:
        """Pilots over the antennas, (antennas, pilot_repeats · K); column n has unit energy.

        Rows of a Hadamard matrix where K is a power of two, else of a DFT matrix: P Pᴴ = (n / K) I. The
        columns are turned by a Zadoff–Chu sequence: repeated as they are, they would fill a few lines of
        the spectrum only.
        """
        k = self.antennas
        if k & (k - 1) == 0:
            square = hadamard(k).astype(np.complex128)
        else:
            square = np.exp(-2j * np.pi * np.outer(np.arange(k), np.arange(k)) / k)
        columns = np.tile(square / np.sqrt(k), self.pilot_repeats)
        return columns * zadoff_chu(columns.shape[1], 1)

    @cached_property
    def phase_pilots(self) -> Values:
        """Known symbols among the payload, (N / pilot_spacing + 1,), unit modulus, of varying phase."""
        return zadoff_chu(self.payload // self.pilot_spacing + 1, 1)

    @cached_property
    def preamble_at(self) -> Values:
        """Places of the preamble in the burst, in symbols."""
        return np.arange(self.preamble.size)

    @cached_property
    def orthogonal_at(self) -> Values:
        """Places of the orthogonal pilots."""
        return np.asarray(self.preamble.size + np.arange(self.orthogonal.shape[1]))

    @cached_property
    def header_at(self) -> Values:
        """Places of the header."""
        return np.asarray(self.orthogonal_at[-1] + 1 + np.arange(HEADER_BITS * HEADER_REPEATS))

    @cached_property
    def _tail(self) -> Values:
        """The part with the payload: True where a phase pilot stands."""
        group = np.zeros(self.pilot_spacing + 1, bool)
        group[0] = True
        return np.append(np.tile(group, self.payload // self.pilot_spacing), True)

    @cached_property
    def payload_at(self) -> Values:
        """Places of the payload, (N,)."""
        return np.asarray(self.header_at[-1] + 1 + np.flatnonzero(~self._tail))

    @cached_property
    def phase_at(self) -> Values:
        """Places of the phase pilots."""
        return np.asarray(self.header_at[-1] + 1 + np.flatnonzero(self._tail))

    @property
    def symbols(self) -> int:
        """Symbols of a burst without its guard."""
        return int(self.phase_at[-1]) + 1

    @property
    def samples(self) -> int:
        """Samples of a burst, the pulses' tails included."""
        return (self.symbols - 1) * self.samples_per_symbol + 2 * self.pulse.delay + 1

    @property
    def slot(self) -> int:
        """Samples from the beginning of a burst to that of the next."""
        return (self.symbols + self.guard) * self.samples_per_symbol

    @property
    def bits(self) -> int:
        """Bits of a payload symbol."""
        return self.order.bit_length() - 1

    @property
    def payload_bytes(self) -> int:
        """Whole bytes of a payload, its checksum included."""
        return self.payload * self.bits // 8

    def assemble(self, symbols: Values, header: Values, beam: Values) -> Values:
        """x (K, S): payload symbols (N,), header symbols (HEADER_BITS · HEADER_REPEATS,), beam v (K,)."""
        stream = np.zeros(self.symbols, np.complex128)
        stream[self.preamble_at] = self.preamble
        stream[self.header_at] = header
        stream[self.payload_at] = symbols
        stream[self.phase_at] = self.phase_pilots
        x = np.asarray(beam, np.complex128)[:, None] * stream
        x[:, self.orthogonal_at] = self.orthogonal
        return x

    def modulate(self, x: Values) -> Values:
        """Samples (K, `samples`) complex64 of symbol vectors x (K, S); symbol 0 at sample `pulse.delay`."""
        return self.pulse.shape(np.asarray(x, np.complex64))
