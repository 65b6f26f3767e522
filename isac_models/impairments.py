"""What a radio front end does to samples: each impairment a pure function of samples and times.

Time t is in sample ticks of the transmitter, frequencies are in cycles per tick, powers linear.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac_models.errors import UserError

Values = NDArray[Any]

HALF = 24
"""Samples on either side that band-limited interpolation looks at."""
KAISER = 7.0
"""Shape of its window: the error is below -70 dB up to 0.85 of the Nyquist frequency (a test measures it)."""


@dataclass(frozen=True, eq=False)
class Impairments:
    """One front end: a monostatic array of K antennas and a receiver elsewhere with a clock of its own.

    transmit c (K,), receive g (K,): complex gains; g multiplies signal and noise. leakage L (K, K): from the
    antennas' samples to the receivers', with c in it. Delays in samples, the echo's at least one more than
    the leakage's. cfo f, cfo_drift ḟ (cycles/tick²) and clock_offset (relative: sample n is taken at
    t = n (1 + offset)) are the remote receiver's, radar_cfo is that of the array. bits: of the converters of
    every receiver, 0 for none (nothing is clipped then). noise: whether there is any.

    Raises UserError for what cannot be.
    """

    transmit: Values
    receive: Values
    leakage: Values
    leakage_delay: float = 0.0
    echo_delay: float = 1.0
    user_delay: float = 0.0
    cfo: float = 0.0
    cfo_drift: float = 0.0
    radar_cfo: float = 0.0
    clock_offset: float = 0.0
    bits: int = 0
    noise: bool = True

    def __post_init__(self) -> None:
        antennas = self.transmit.size
        if self.receive.shape != (antennas,) or self.leakage.shape != (antennas, antennas):
            raise UserError(
                f"impairments of {antennas} antennas need receive gains ({antennas},) and a leakage matrix "
                f"({antennas}, {antennas}), not {self.receive.shape} and {self.leakage.shape}"
            )
        if not (0 <= self.leakage_delay <= self.echo_delay - 1 and self.user_delay >= 0):
            raise UserError(
                "delays must not be negative, and the echo's at least one more than the leakage's"
            )
        if abs(self.clock_offset) > 1e-3 or not 0 <= self.bits <= 24:
            raise UserError("clock_offset must be within ±1e-3, bits from 0 to 24")

    @classmethod
    def none(cls, antennas: int = 16) -> Impairments:
        """A front end without any fault; the noise of the scenario remains."""
        ones = np.ones(antennas, np.complex128)
        return cls(ones, ones, np.zeros((antennas, antennas), np.complex128))

    @classmethod
    def draw(cls, seed: int, antennas: int = 16, echo_power: float = 8.0) -> Impairments:
        """One front end at random.

        Gains (1 + ε) e^{jφ}, ε ~ N(0, 0.1²), φ uniform; leakage 20 … 35 dB above `echo_power`, the mean power
        of an echo in a receiver for a transmitted vector of unit energy; delays of a few samples with any
        fraction; |f| ≤ 2e-3, |ḟ| ≤ 1e-10; ±10 ppm; 12 bits.
        """
        random = np.random.default_rng(seed)
        transmit, receive = (chain_errors(random, antennas) for _ in range(2))
        power = echo_power * 10 ** (random.uniform(20, 35) / 10)
        leakage = random.normal(0, np.sqrt(power / 2), (antennas, antennas, 2)) @ [1, 1j]
        leakage_delay = random.uniform(0, 3)
        return cls(
            transmit,
            receive,
            leakage * transmit,
            leakage_delay=leakage_delay,
            echo_delay=leakage_delay + random.uniform(1, 6),
            user_delay=random.uniform(0, 12),
            cfo=random.uniform(-2e-3, 2e-3),
            cfo_drift=random.uniform(-1e-10, 1e-10),
            clock_offset=random.uniform(-1e-5, 1e-5),
            bits=12,
        )

    def without(self, *names: str) -> Impairments:
        """The same front end with some impairments switched off, by their field names.

        Raises UserError for another name.
        """
        off = type(self).none(self.transmit.size)
        unknown = [name for name in names if name not in self.__dataclass_fields__]
        if unknown:
            known = ", ".join(self.__dataclass_fields__)
            raise UserError(f"there is no impairment {unknown[0]!r}: choose from {known}")
        changes: dict[str, Any] = {name: False if name == "noise" else getattr(off, name) for name in names}
        return replace(self, **changes)


def chain_errors(random: np.random.Generator, channels: int) -> Values:
    """(1 + ε) e^{jφ} with ε ~ N(0, 0.1²) and φ uniform: (channels,) complex128."""
    gain = 1 + random.normal(0, 0.1, channels)
    return np.asarray(gain * np.exp(1j * random.uniform(-np.pi, np.pi, channels)))


def interpolation_taps(fraction: Values) -> Values:
    """Weights (n, 2 HALF) of the samples ⌊t⌋ - HALF + 1 … ⌊t⌋ + HALF for t = ⌊t⌋ + fraction (n,).

    A sinc under a Kaiser window that is centred on t, so that the window moves with the fraction.
    Source: Laakso et al., Splitting the unit delay, IEEE Signal Processing Magazine, 1996.
    """
    from scipy.special import i0

    distance = np.arange(1 - HALF, HALF + 1) - np.asarray(fraction)[..., None]
    inside = np.clip(1 - (distance / HALF) ** 2, 0, None)
    window = i0(KAISER * np.sqrt(inside)) / i0(KAISER)
    return np.asarray(np.sinc(distance) * window)


def interpolate(samples: Values, first: int, times: Values) -> Values:
    """samples (..., L), the first of tick `first`, at the times (n,): (..., n), in complex128.

    Raises ValueError where a time has fewer than HALF samples on a side.
    """
    whole = np.floor(times).astype(np.int64)
    start = whole - HALF + 1 - first
    if times.size and (start.min() < 0 or start.max() + 2 * HALF > samples.shape[-1]):
        raise ValueError(f"times from {times.min()} to {times.max()} are not covered")
    fraction = times - whole
    if times.size and np.ptp(fraction) < 1e-12 and np.all(np.diff(whole) == 1):  # a delay alone: one filter
        if fraction[0] == 0:
            return samples[..., start[0] + HALF - 1 : start[-1] + HALF].astype(np.complex128)
        delayed = np.zeros((*samples.shape[:-1], times.size), np.complex128)
        for shift, tap in enumerate(interpolation_taps(fraction[0])):
            delayed += tap * samples[..., start[0] + shift : start[0] + shift + times.size]
        return delayed
    windows = np.lib.stride_tricks.sliding_window_view(samples, 2 * HALF, axis=-1)
    return np.asarray(np.einsum("...nk,nk->...n", windows[..., start, :], interpolation_taps(fraction)))


def rotation(times: Values, cfo: float, drift: float = 0.0) -> Values:
    """e^{j2π(f t + ½ ḟ t²)} at times (n,): (n,) complex128."""
    return np.asarray(np.exp(2j * np.pi * (cfo * times + drift * times**2 / 2)))


def quantise(samples: Values, bits: int) -> Values:
    """Real and imaginary parts as `bits`-bit converters of full scale ±1 give them; 0 bits change nothing.

    Steps are 2^(1 - bits), what lies outside -1 … 1 - step is clipped.
    """
    if not bits:
        return samples
    step = 2.0 ** (1 - bits)
    parts = np.ascontiguousarray(samples).view(samples.real.dtype)
    return np.asarray(step * np.clip(np.round(parts / step), -1 / step, 1 / step - 1)).view(samples.dtype)
