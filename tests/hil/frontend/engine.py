"""The front end itself: transmitted samples in, received samples out, tick by tick."""

from __future__ import annotations

import secrets
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.hil.frontend import unknowns
from tests.hil.frontend.chain import NOISE_BELOW_FULL_SCALE, convert
from tests.hil.frontend.delays import DriftingDelay, FixedDelay
from tests.hil.frontend.scene import Scene
from tests.hil.frontend.settings import Settings, SettingsError, build_arrays, steering

Values = NDArray[Any]
STEP = 4096
"""Ticks worked at once; larger pieces leave the processor's cache."""


class FrontEnd:
    """K transmit and K receive chains of one array, and the communication receiver (channel K).

    With digital samples s, |re|, |im| ≤ 1, x = s √(E_tx / (P_ref O)) c leaves the antennas (gains 0 dB):

        y_r[i] = e^{j2πf_r i} g_r ( L_r x(i - d_L) + t α a_r(θ) Σ_k a_k(θ) x_k(i - d_E) ) + |g_r| n_r[i]
        y_K[i] = e^{j(2πf τ + πḟ τ² + φ)} β Σ_k a_k(ϑ) x_k(τ - d_U) + n_K[i],   τ the true time of sample i

    times 1/(512 √N0). t, α, β, ϑ and the transmitting a(θ) are those of the block in which x left, a_r(θ) of
    the one that tick i - ⌊d_E⌋ is in. Methods may be called from any thread.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.lock = threading.RLock()
        self.tx_channels = settings.scenario.antennas
        self.rx_channels = self.tx_channels + 1
        self._gains = {"tx": np.full(self.tx_channels, settings.tx_gain_db)}
        self._gains["rx"] = np.full(self.rx_channels, settings.rx_gain_db)
        self._arrays = build_arrays(settings.scenario)
        self.session_number = -1
        self.restart()

    # Control ---------------------------------------------------------------------------------

    def restart(self) -> None:
        """As if the power had been cut: time 0, other phases of the oscillators, a new session."""
        with self.lock:
            self.session_number += 1
            self.session = secrets.token_hex(8)
            self.unknowns = unknowns.draw(self.settings, self.session_number)
            self.scene = Scene(self.settings, self.session_number)
            self.rewind()

    def rewind(self) -> None:
        """Time 0 and empty delays with the same hardware: for another link that begins to count."""
        with self.lock:
            k, drawn = self.tx_channels, self.unknowns
            self.time = 0
            """Ticks worked."""
            self.clipped = {"tx": 0, "rx": 0}
            self._direct = FixedDelay(2 * k, drawn.leakage_delay)
            self._echo = FixedDelay(2, drawn.echo_delay)
            self._receiver = DriftingDelay(drawn.ue_delay, drawn.clock_ppm)
            key = (self.session_number,)
            self._noise = _Noise(
                unknowns.generator(self.settings, unknowns.NOISE, *key), 2 * self.rx_channels
            )
            self._fold()

    def set_gain(self, direction: str, channel: int, gain_db: float) -> float:
        """Gain of a "tx" or "rx" channel in dB, in steps of 0.25 from -90 to 90; returns the actual one."""
        if direction not in self._gains or not 0 <= channel < self._gains[direction].size:
            raise SettingsError(f"there is no channel {channel} of {direction!r}")
        actual = round(4 * min(max(float(gain_db), -90.0), 90.0)) / 4
        with self.lock:
            self._gains[direction][channel] = actual
            self._fold()
        return actual

    def gain(self, direction: str, channel: int) -> float:
        """The gain of a channel in dB."""
        return float(self._gains[direction][channel])

    def retune(self) -> None:
        """Another frequency: the oscillators lock at other phases; time runs on."""
        with self.lock:
            self.session_number += 1
            self.unknowns = unknowns.draw(self.settings, self.session_number)
            self._fold()

    def switch_scene(self, scene: str, tick: int | None = None) -> int:
        """Another scene from the first block that begins at `tick` (None: now) or later; returns where."""
        with self.lock:
            size = self.settings.block
            block = -(-max(self.time if tick is None else tick, self.time) // size)
            self.scene.switch(scene, block)
            self._fold()
            return block * size

    def truth(self, first_tick: int, ticks: int) -> list[dict[str, Any]]:
        """`Scene.truth`."""
        with self.lock:
            return self.scene.truth(first_tick, ticks)

    # Samples ---------------------------------------------------------------------------------

    def process(self, samples: Values) -> Values:
        """Transmitted (K, n) complex64 at ticks `time` …, to received (K+1, n) complex64 at the same ticks.

        How a stream is cut into calls makes no difference. Raises SettingsError for another shape.
        """
        if samples.ndim != 2 or samples.shape[0] != self.tx_channels:
            raise SettingsError(f"samples must be ({self.tx_channels}, n), not {samples.shape}")
        out = np.empty((self.rx_channels, samples.shape[1]), np.complex64)
        with self.lock:
            for first in range(0, samples.shape[1], STEP):
                piece = samples[:, first : first + STEP]
                self._step(piece, out[:, first : first + STEP])
        return out

    def _fold(self) -> None:
        """Every constant factor between digital transmit and digital receive samples in one place each."""
        s, k = self.settings.scenario, self.tx_channels
        power = s.transmit_energy / (self.settings.reference_power * self.settings.samples_per_symbol)
        sent = self.unknowns.tx_errors * np.sqrt(power) * 10 ** (self._gains["tx"] / 20)
        full_scale = NOISE_BELOW_FULL_SCALE * np.sqrt(s.noise_power)
        received = np.append(self.unknowns.rx_errors, 1) * 10 ** (self._gains["rx"] / 20) / full_scale
        self._sent, self._received = sent, received
        self._leaks = _real(received[:k, None] * self.unknowns.leakage * sent)
        deviation = np.sqrt(s.noise_power / 2) * self.settings.noise
        self._noise_scale = (np.tile(np.abs(received), 2) * deviation)[:, None].astype(np.float32)
        self._known: dict[int, tuple[Values, Values]] = {}

    def _block(self, block: int) -> tuple[Values, Values]:
        """Of a block: (4, 2K) from x to echo and receiver, (2K, 2) from the echo to the receive channels."""
        if block not in self._known:
            if len(self._known) > 256:
                self._known.clear()
            a, b = self._arrays, self.scene.blocks(block, 1)[0]
            ones = np.ones(self.tx_channels)
            seen = (ones, ones) if b["calibration"] else (a.transmit_response, a.receive_response)
            towards = steering(a.transmit_positions, seen[0], np.array([b["theta"], b["vartheta"]]))
            back = steering(a.receive_positions, seen[1], np.array([b["theta"]]))[0]
            weights = towards * self._sent * np.array([b["present"] * b["alpha"], b["beta"]])[:, None]
            weights[1] *= self._received[-1]
            scatter = (self._received[:-1] * back)[:, None]
            self._known[block] = (_real(weights), _real(scatter))
        return self._known[block]

    def _step(self, samples: Values, out: Values) -> None:
        """At most STEP ticks. Complex rows are worked as real ones: all real parts, then all imaginary."""
        k, n, size = self.tx_channels, samples.shape[1], self.settings.block
        x = np.empty((2 * k, n), np.float32)
        x[:k], x[k:] = samples.real, samples.imag
        self.clipped["tx"] += convert(x, self.settings.bits)

        scalars = np.empty((4, n), np.float32)  # echo re, receiver re, echo im, receiver im
        for block, part in _blocks(self.time, n, size):
            scalars[:, part] = self._block(block)[0] @ x[:, part]
        echo = self._echo(scalars[::2])
        y = self._leaks @ self._direct(x) if self.settings.leakage else np.zeros((2 * k, n), np.float32)
        late = int(self.unknowns.echo_delay)
        for block, part in _blocks(self.time - late, n, size):
            y[:, part] += self._block(max(block, 0))[1] @ echo[:, part]
        ticks = self.time + np.arange(n)
        turned = out[:k]
        turned.real, turned.imag = y[:k], y[k:]
        if self.unknowns.radar_cfo:
            turned *= _phasor(self.unknowns.radar_cfo * ticks)

        heard, at = self._receiver((scalars[1] + 1j * scalars[3]).astype(np.complex64), self.time)
        true_time = at + self._receiver.delay
        u = self.unknowns
        turns = (u.cfo + 0.5 * u.cfo_drift * true_time) * true_time + u.ue_phase / (2 * np.pi)
        out[k] = heard * _phasor(turns)

        noise = self._noise.take(n)
        if self.settings.noise:
            noise = noise * self._noise_scale
            out.real += noise[: k + 1]
            out.imag += noise[k + 1 :]
        flat = np.ascontiguousarray(out).view(np.float32)
        self.clipped["rx"] += convert(flat, self.settings.bits)
        out[...] = flat.view(np.complex64)
        self.time += n

    def stats(self) -> dict[str, Any]:
        """Counts since the last (re)start."""
        with self.lock:
            return {"time": self.time, "clipped_tx": self.clipped["tx"], "clipped_rx": self.clipped["rx"]}


class _Noise:
    """Standard normal rows (rows, n), the same however they are taken."""

    def __init__(self, random: np.random.Generator, rows: int) -> None:
        self._random, self._rows = random, rows
        self._page = np.zeros((rows, 0), np.float32)

    def take(self, n: int) -> Values:
        """The next n columns."""
        taken = [self._page[:, :n]]
        missing = n - taken[0].shape[1]
        self._page = self._page[:, n:]
        while missing > 0:
            page = self._random.standard_normal((self._rows, STEP), np.float32)
            taken.append(page[:, :missing])
            self._page = page[:, missing:]
            missing -= taken[-1].shape[1]
        return taken[0] if len(taken) == 1 else np.concatenate(taken, axis=1)


def _real(matrix: Values) -> Values:
    """A complex matrix as the real one that acts on stacked real and imaginary parts."""
    return np.block([[matrix.real, -matrix.imag], [matrix.imag, matrix.real]]).astype(np.float32)


def _phasor(turns: Values) -> Values:
    """e^{j2π turns} as complex64; the whole turns are taken off first."""
    angle = (2 * np.pi * (turns - np.rint(turns))).astype(np.float32)
    phasor = np.empty(angle.shape, np.complex64)
    phasor.real, phasor.imag = np.cos(angle), np.sin(angle)
    return phasor


def _blocks(first: int, n: int, size: int) -> list[tuple[int, slice]]:
    """The blocks that ticks first … first + n - 1 touch, each with the part of the n that is in it."""
    found = []
    for block in range(first // size, (first + n - 1) // size + 1):
        low, high = max(block * size - first, 0), min((block + 1) * size - first, n)
        found.append((block, slice(low, high)))
    return found
