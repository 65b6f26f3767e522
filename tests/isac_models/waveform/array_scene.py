"""Bursts in front of an array: leakage, echo, noise, from the pulse's closed form, delayed by an FFT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.signal import upfirdn

from isac_models.waveform import header
from isac_models.waveform.burst_format import BurstFormat
from tests.isac_models.waveform.scene import noise, root_raised_cosine, steering

Values = np.ndarray[Any, Any]

HEAD = 84
"""Samples from a window's beginning to symbol 0 of what was sent, as the finder cuts windows."""
ROOM = 200
"""Samples to either side, for the tails of a delay."""
HEADER = header.encode(5, 0)


def decibels(power: float) -> float:
    """Of a power."""
    return float(10 * np.log10(power))


def vectors_at(form: BurstFormat, x: Values, length: int, start: float) -> Values:
    """Samples (K, length) of symbol vectors x (K, S) with symbol 0 centred at `start`: complex128.

    Shaped at whole samples, as a transmitter does, and delayed by the fraction in the frequency domain.
    """
    step, tail = form.samples_per_symbol, form.half_span * form.samples_per_symbol
    taps = root_raised_cosine(np.arange(-tail, tail + 1) / step, form.rolloff) / np.sqrt(step)
    whole = int(np.floor(start))
    shaped = np.zeros((len(x), length + 2 * ROOM), complex)
    burst = upfirdn(taps, x, up=step, axis=1)
    first = ROOM + whole - tail
    shaped[:, first : first + burst.shape[1]] = burst
    turn = np.exp(-2j * np.pi * np.fft.fftfreq(shaped.shape[1]) * (start - whole))
    late = np.fft.ifft(np.fft.fft(shaped, axis=1) * turn, axis=1)
    return np.asarray(late[:, ROOM : ROOM + length])


@dataclass
class ArrayScene:
    """A monostatic array with errors c (transmit) and g (receive), its leakage, and one target.

    leakage: (K, K) per transmitted vector, c in it. Delays in samples behind `HEAD`. offsets: of the elements
    from half a wavelength's spacing, in wavelengths. cfo: cycles per sample. Noise has power 1.
    """

    form: BurstFormat
    beam: Values
    leakage: Values
    leakage_delay: float
    echo_delay: float
    angle: float = 0.0
    transmit: Values | None = None
    receive: Values | None = None
    offsets: Values | None = None
    cfo: float = 0.0

    def __post_init__(self) -> None:
        self.length = self.form.samples + 2 * (HEAD - self.form.pulse.delay)
        """Samples of a window."""

    def steering(self) -> Values:
        """a(θ) of the elements where they stand, (K,)."""
        moved = 0.0 if self.offsets is None else self.offsets
        a = steering(self.form.antennas, self.angle) * np.exp(-2j * np.pi * moved * np.sin(self.angle))
        return np.asarray(a)

    def vectors(self, symbols: Values, equaliser: Values | float = 1.0) -> Values:
        """x (K, S) of a burst with this payload, as it is given to the chains."""
        x = self.form.assemble(symbols, HEADER, self.beam)
        return np.asarray(x * np.reshape(equaliser, (-1, 1)))

    def parts(self, x: Values, gain: complex) -> tuple[Values, Values]:
        """Leakage and echo α a aᵀ c x of α = `gain`, (K, length) each, without receive gains."""
        a = self.steering()
        radiated = x if self.transmit is None else self.transmit[:, None] * x
        leak = vectors_at(self.form, self.leakage @ x, self.length, HEAD + self.leakage_delay)
        echo = gain * vectors_at(self.form, (a @ radiated)[None], self.length, HEAD + self.echo_delay)
        return leak, a[:, None] * echo

    def window(self, rng: np.random.Generator, x: Values, gain: complex) -> Values:
        """What the array receives: (K, length) complex64."""
        leak, echo = self.parts(x, gain)
        return self.received(leak + echo + noise(rng, *leak.shape))

    def received(self, field: Values) -> Values:
        """A field (K, length) behind the receive chains and their oscillator: complex64."""
        turn = np.exp(2j * np.pi * self.cfo * (np.arange(self.length) - HEAD - self.leakage_delay))
        gains = 1.0 if self.receive is None else self.receive[:, None]
        return np.asarray(gains * turn * field).astype(np.complex64)


def qpsk(rng: np.random.Generator, count: int) -> Values:
    """Unit-energy symbols (count,)."""
    return np.asarray(np.exp(0.5j * np.pi * (rng.integers(4, size=count) + 0.5)))


def random_leakage(rng: np.random.Generator, beam: Values, power: float) -> Values:
    """(K, K) of circular entries, Σ_r |(L v)_r|² = K `power`."""
    k = beam.size
    matrix = noise(rng, k, k)
    return np.asarray(matrix * np.sqrt(k * power) / np.linalg.norm(matrix @ beam))


def chain_errors(rng: np.random.Generator, count: int) -> Values:
    """Random phases, gains within ±1.5 dB: (count,)."""
    return np.asarray(10 ** (rng.uniform(-1.5, 1.5, count) / 20) * np.exp(2j * np.pi * rng.random(count)))
