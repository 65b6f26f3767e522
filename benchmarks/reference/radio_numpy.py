"""The rival: the receive chain of a radio link as one straight-line NumPy/SciPy script. Frozen.

Nothing of this project is imported; what follows from the format of a burst is written out again. For every
slot: both receivers follow the burst's clock and carrier by its preamble, remove the carrier, and

* communication: matched filter at the fractional delay, channel and frequency by least squares over
  preamble and phase pilots, header (repeated BPSK, CRC-16), again with the header, noise from the silence,
  ML decision;
* radar: chains equalised, leakage and echo told apart by least squares (echo delay on a grid of a quarter
  of a sample), leakage subtracted, matched filter of 16 channels at the echo's delay, |aᴴy|² over the sector.

    python radio_numpy.py FOLDER [--decisions FILE.npz]

Prints one JSON object.
"""

# ruff: noqa: E402  BLAS reads its number of threads when NumPy is imported
import os

for library in ("OMP", "OPENBLAS", "MKL", "BLIS", "VECLIB_MAXIMUM"):
    os.environ[f"{library}_NUM_THREADS"] = "1"

import argparse
import json
import time
from binascii import crc_hqx
from pathlib import Path
from typing import Any

import numpy as np
from scipy.linalg import hadamard
from scipy.signal import correlate, upfirdn

K, OVER, ROLLOFF, SPAN = 16, 2, 0.35, 10
PAYLOAD, SPACING, GUARD, HEADER = 256, 16, 64, 96
DELAY = SPAN * OVER
MARGIN, EDGE, LONGEST_ECHO = 64, 8, 12.0
SECTOR, GRID = np.deg2rad([-40, -20]), 500


def zadoff_chu(length: Any, root: Any) -> Any:
    """exp(-jπ u n (n + L mod 2) / L)."""
    n = np.arange(length)
    return np.exp(-1j * np.pi * root * n * (n + length % 2) / length)


PREAMBLE = np.concatenate([np.tile(zadoff_chu(16, 1), 8), zadoff_chu(63, 25)])
P = PREAMBLE.size
ORTHOGONAL = hadamard(K) / np.sqrt(K) * zadoff_chu(K, 1)
TAIL = np.append(np.tile(np.arange(SPACING + 1) == 0, PAYLOAD // SPACING), True)
HEADER_AT = P + K + np.arange(HEADER)
PAYLOAD_AT = P + K + HEADER + np.flatnonzero(~TAIL)
PILOTS_AT = P + K + HEADER + np.flatnonzero(TAIL)
PILOTS = zadoff_chu(PILOTS_AT.size, 1)
SYMBOLS = int(PILOTS_AT[-1]) + 1
SLOT = (SYMBOLS + GUARD) * OVER
LENGTH = (SYMBOLS - 1) * OVER + 2 * DELAY + 1
WIDTH = LENGTH + 2 * MARGIN
HEAD = MARGIN + DELAY
POINTS = (np.array([-1, -1, 1, 1]) + 1j * np.array([-1, 1, -1, 1])) / np.sqrt(2)


def root_raised_cosine(shift: float = 0.0) -> Any:
    """g at sample n + shift, n = -DELAY … DELAY."""
    t = (np.arange(-DELAY, DELAY + 1) + shift) / OVER + 1e-9
    b = ROLLOFF
    g = np.sin(np.pi * t * (1 - b)) + 4 * b * t * np.cos(np.pi * t * (1 + b))
    return g / (np.pi * t * (1 - (4 * b * t) ** 2)) / np.sqrt(OVER)


PREAMBLE_WAVE = upfirdn(root_raised_cosine(), PREAMBLE, up=OVER)[DELAY : DELAY + (P - 4) * OVER]


def waveform(symbols: Any, delay: Any, length: Any) -> Any:
    """Σ_k x_k g(t - delay - kT) at t = 0 … length - 1, symbol 0 at `delay`."""
    whole = int(np.floor(delay))
    shaped = upfirdn(root_raised_cosine(whole - delay), symbols, up=OVER)
    out = np.zeros(length, np.complex128)
    first = whole - DELAY
    low, high = max(first, 0), min(first + shaped.size, length)
    out[low:high] = shaped[low - first : high - first]
    return out


def matched(samples: Any, start: Any) -> Any:
    """Symbols behind the matched filter, symbol 0 at `start`: (..., L) to (..., SYMBOLS)."""
    whole = int(np.floor(start))
    first = whole - DELAY
    last = whole + (SYMBOLS - 1) * OVER + DELAY + 1
    part = samples[..., max(first, 0) : last]
    pad = [(0, 0)] * (part.ndim - 1) + [(max(-first, 0), max(last - samples.shape[-1], 0))]
    part = np.pad(part, pad)
    return upfirdn(root_raised_cosine(whole - start)[::-1], part, axis=-1)[..., 2 * DELAY :: OVER][
        ..., :SYMBOLS
    ]


class Tracker:
    """Burst clock and carrier of some channels."""

    def __init__(self, samples: Any) -> None:
        self.samples = samples
        self.period, self.cfo, self.cfo_rate = float(SLOT), 0.0, 0.0
        part = samples[:, : 3 * SLOT]
        lag, span = 16 * OVER, 7 * 16 * OVER
        product = np.cumsum(np.sum(part[:, :-lag].conj() * part[:, lag:], axis=0))
        power = np.cumsum(np.sum(np.abs(part) ** 2, axis=0))
        alike = product[span:] - product[:-span]
        energy = (power[span + lag :] - power[: -span - lag])[: alike.size]
        quiet = energy < 0.1 * energy.max()
        place = int(np.argmax(np.where(quiet, 0, np.abs(alike[: energy.size]) / energy)))
        self.cfo = float(np.angle(alike[place]) / (2 * np.pi * lag))
        low = max(place - 2 * lag, 0)
        near = part[:, low : place + 2 * lag + PREAMBLE_WAVE.size]
        self.due = (low + self._peak(near)[0]) % SLOT

    def _peak(self, part: Any) -> Any:
        """Place and strength of the preamble in samples (C, n), and the lag-0 correlations."""
        turned = part * np.exp(-2j * np.pi * self.cfo * np.arange(part.shape[1]))
        found = np.stack([correlate(row, PREAMBLE_WAVE, mode="valid", method="auto") for row in turned])
        energy = np.sum(np.abs(found) ** 2, axis=0)
        best = int(np.argmax(energy))
        if not 0 < best < energy.size - 1:
            return float(best), energy[best], turned[:, best : best + PREAMBLE_WAVE.size]
        left, middle, right = energy[best - 1 : best + 2]
        shift = 0.5 * (left - right) / (left - 2 * middle + right)
        return best + shift, middle, turned[:, best : best + PREAMBLE_WAVE.size]

    def next(self) -> Any:
        """The next window (C, WIDTH), where symbol 0 is in it, and the carrier offset."""
        first = round(self.due) - HEAD
        window = self.samples[:, max(first, 0) : first + WIDTH]
        window = np.pad(window, [(0, 0), (max(-first, 0), max(first + WIDTH - self.samples.shape[1], 0))])
        expected = self.due - first
        low = HEAD - 4
        place, strength, part = self._peak(window[:, low : low + PREAMBLE_WAVE.size + 8])
        power = np.mean(np.sum(np.abs(part) ** 2, axis=0))
        share = strength / (power * np.sum(np.abs(PREAMBLE_WAVE) ** 2) * PREAMBLE_WAVE.size + 1e-30)
        start, cfo = expected, self.cfo
        if share > (0.08 if len(window) == 1 else 0.01) and abs(low + place - expected) < 3:
            start = low + place
            product = part * PREAMBLE_WAVE.conj()
            halves = product[:, :P].sum(axis=1), product[:, P : 2 * P].sum(axis=1)
            turn = np.angle(np.vdot(halves[0], halves[1])) / (2 * np.pi * P)
            cfo = self.cfo + turn
            late = start - expected
            self.due += 0.3 * late
            self.period += 0.02 * late
            self.cfo += 0.3 * turn
            self.cfo_rate += 0.02 * turn
        self.due += self.period
        self.cfo += self.cfo_rate
        return window, start, cfo


def silence(start: Any, length: Any, longest: float = 0.0) -> Any:
    """Indices of the samples in which nothing is received."""
    n = np.arange(length)
    end = (SYMBOLS - 1) * OVER + DELAY + 4 + longest
    return (n < start - DELAY - 4) & (n > start - SLOT + end) | (n > start + end) & (
        n < start + SLOT - DELAY - 4
    )


def crc16(word: Any) -> Any:
    """CRC-16 of the CCITT."""
    return crc_hqx(word, 0xFFFF)


def header_of(number: Any) -> Any:
    """Its symbols."""
    word = int(number).to_bytes(3, "big") + b"\0"
    word += crc16(word).to_bytes(2, "big")
    return np.tile(1.0 - 2.0 * np.unpackbits(np.frombuffer(word, np.uint8)), 2)


def fit(values: Any, places: Any) -> Any:
    """Gain κ and frequency δ (cycles a symbol) of κ e^{j2πδk} from values at places k."""
    trial = np.arange(-1.5, 1.5 + 1e-9, 0.125) / SYMBOLS
    delta = trial[np.argmax(np.abs(np.exp(-2j * np.pi * np.outer(trial, places)) @ values))]
    centred = 2 * np.pi * (places - places.mean())
    for _ in range(3):
        turned = values * np.exp(-2j * np.pi * delta * places)
        angle = np.angle(turned * np.conj(turned.mean()))
        weight = np.abs(turned.mean()) + 0 * angle
        delta += np.sum(weight * centred * np.sin(angle)) / np.sum(weight * centred**2)
    turned = values * np.exp(-2j * np.pi * delta * places)
    return turned.mean(), delta


def communicate(window: Any, start: Any, cfo: Any) -> Any:
    """Decided messages of one burst."""
    turned = window * np.exp(-2j * np.pi * cfo * (np.arange(window.size) - start))
    y = matched(turned, start)
    places = np.concatenate([np.arange(P), PILOTS_AT])
    values = np.concatenate([y[:P] / PREAMBLE, y[PILOTS_AT] / PILOTS])
    gain, delta = fit(values, places)
    channel = gain * np.exp(2j * np.pi * delta * HEADER_AT)
    soft = np.real(channel.conj() * y[HEADER_AT]).reshape(2, -1).sum(axis=0)
    word = np.packbits(soft < 0).tobytes()
    number = -1
    if crc16(word[:4]) == int.from_bytes(word[4:], "big"):
        number = int.from_bytes(word[:3], "big")
        places = np.concatenate([places, HEADER_AT])
        values = np.concatenate([values, y[HEADER_AT] / header_of(number)])
        gain, delta = fit(values, places)
    noise = np.mean(np.abs(window[silence(start, window.size)]) ** 2)
    scale = 1 / np.sqrt(noise)
    csi = scale * gain * np.exp(2j * np.pi * delta * PAYLOAD_AT)
    payload = scale * y[PAYLOAD_AT]
    return np.argmin(np.abs(payload[:, None] - csi[:, None] * POINTS) ** 2, axis=1).astype(np.uint8)


class Radar:
    """Leakage removed, echoes sampled, detection."""

    def __init__(self, receive: Any, threshold: Any) -> None:
        self.receive, self.threshold = receive, threshold
        grid = np.linspace(-np.pi / 2, np.pi / 2, GRID)
        inside = (grid >= SECTOR[0]) & (grid <= SECTOR[1])
        positions = (np.arange(K) - (K - 1) / 2) / 2
        self.steering = np.exp(-2j * np.pi * positions[:, None] * np.sin(grid[inside]))
        self.delays = np.arange(1.0, LONGEST_ECHO + 0.1, 0.25)
        self.profile = np.zeros(self.delays.size)
        self.noise: list[Any] = []

    def detect(self, window: Any, start: Any, cfo: Any, symbols: Any, number: Any) -> Any:
        """Whether there was a target, for every payload snapshot."""
        y = window / self.receive[:, None] * np.exp(-2j * np.pi * cfo * (np.arange(window.shape[1]) - start))
        self.noise.append(np.mean(np.abs(y[:, silence(start, y.shape[1], LONGEST_ECHO)]) ** 2))
        noise = np.mean(self.noise[-256:])
        stream = np.zeros(SYMBOLS, np.complex128)
        stream[:P], stream[HEADER_AT] = PREAMBLE, header_of(number)
        stream[PAYLOAD_AT], stream[PILOTS_AT] = symbols, PILOTS
        first = int(start) + (int(HEADER_AT[0]) + EDGE) * OVER
        last = min(int(start) + (SYMBOLS - 1) * OVER + DELAY, y.shape[1])
        fitted = y[:, first:last].T
        length = y.shape[1]

        # Leakage and its derivative by the delay, then what an echo at each delay explains beside them.
        leak = waveform(stream, start, length)
        slope = (waveform(stream, start + 1e-3, length) - waveform(stream, start - 1e-3, length)) / 2e-3
        known = np.stack([leak, slope], axis=1)[first:last]
        base = np.linalg.qr(known)[0]
        rest = fitted - base @ (base.conj().T @ fitted)
        for d, delay in enumerate(self.delays):
            echo = waveform(stream, start + delay, length)[first:last]
            echo = echo - base @ (base.conj().T @ echo)
            energy = np.sum(np.abs(echo.conj() @ rest) ** 2) / np.sum(np.abs(echo) ** 2)
            self.profile[d] = 0.95 * self.profile[d] + energy
        best = int(np.argmax(self.profile))
        delay = self.delays[best]
        if 0 < best < self.delays.size - 1:
            left, middle, right = self.profile[best - 1 : best + 2]
            delay += 0.25 * 0.5 * (left - right) / (left - 2 * middle + right)
        echo = waveform(stream, start + delay, length)
        three = np.stack([leak, slope, echo], axis=1)[first:last]
        gains = np.linalg.lstsq(three, fitted, rcond=None)[0]
        late = float(np.real(np.vdot(gains[0], gains[1])) / np.real(np.vdot(gains[0], gains[0])))
        late = np.clip(late, -0.25, 0.25)
        leak, echo = waveform(stream, start + late, length), waveform(stream, start + late + delay, length)
        two = np.stack([leak, echo], axis=1)[first:last]
        gains = np.linalg.lstsq(two, fitted, rcond=None)[0]
        y = y - gains[0][:, None] * leak
        z = matched(y, start + late + delay)[:, PAYLOAD_AT].T / np.sqrt(noise)
        power = np.abs(z @ self.steering.conj()) ** 2
        return power.max(axis=1) > self.threshold**2


def main() -> None:
    """Run the whole recording through once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--decisions")
    options = parser.parse_args()
    received = np.load(options.folder / "samples.npy")
    sent = np.load(options.folder / "sent.npz")
    message, symbol, number, present = (sent[name] for name in ("message", "symbol", "number", "present"))
    samples = np.ascontiguousarray(received.T)
    begin = time.perf_counter()
    user, array = Tracker(samples[K:]), Tracker(samples[:K])
    radar = Radar(sent["receive"], float(sent["threshold"]))
    decided: Any = []
    detected: Any = []
    for burst in range(len(number)):
        window, start, cfo = user.next()
        decided.append(communicate(window[0], start, cfo))
        window, start, cfo = array.next()
        detected.append(radar.detect(window, start, cfo, symbol[burst], number[burst]))
    seconds = time.perf_counter() - begin
    decided, detected = np.array(decided), np.array(detected)
    if options.decisions:
        np.savez(options.decisions, decided=decided.reshape(-1), detected=detected.reshape(-1))
    print(
        json.dumps(
            {
                "seconds": seconds,
                "samples_per_second": len(received) / seconds,
                "snapshots_per_second": message.size / seconds,
                "bursts": len(number),
                "ser": float(np.mean(decided != message)),
                "p_md": float(np.mean(~detected[present])),
                "p_fa": float(np.mean(detected[~present])),
            }
        )
    )


if __name__ == "__main__":
    main()
