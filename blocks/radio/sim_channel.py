"""What happens between the antennas of a `SimRadio`, a slot at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from isac_models.array import hardware
from isac_models.draws import SnapshotRandom
from isac_models.impairments import HALF, Impairments, interpolate, quantise, rotation
from isac_models.propagation import CHANNEL_STREAM, TARGET_STREAM, MisoModel, Target, TargetModel
from isac_models.scenario import Scenario
from isac_models.waveform.burst_format import REFERENCE_POWER, BurstFormat

SCENES = ("scenario", "calibration", "loopback")
NOISE_LEVEL = 1 / 512
"""Standard deviation of the noise in a receiver, relative to full scale: 4 steps of 12 bits."""
REFLECTOR_AMPLITUDE = 30.0
"""Of the calibration scene's echo, relative to √N0."""
MARGIN = HALF + 1  # ticks that interpolation looks ahead
ARRAY_NOISE, USER_NOISE = 0, 1  # lanes


@dataclass(frozen=True)
class Truth:
    """What there was in n slots: `slot` numbers (n,), the target, the receiver's angle ϑ and gain β (n,)."""

    slot: np.ndarray
    target: Target
    comm_angle: np.ndarray
    comm_gain: np.ndarray


class SimChannel:
    """From samples (K, n) sent to those that the array (K, n) and the remote receiver (n',) take.

    y_r = g_r [Σ_k L_rk x_k(t - d_L) + t α a_r(θ) Σ_k a_k(θ) c_k x_k(t - d_E) + n] for the array and
    y_u = β Σ_k a_k(ϑ) c_k x_k(t - d_U) e^{j2π(f t + ½ ḟ t²)} + n for the receiver, whose sample number n is
    taken at t = n (1 + offset). Target and channel are those of the slot in which x leaves.
    """

    def __init__(
        self, scenario: Scenario, impairments: Impairments, burst_format: BurstFormat, seed: int
    ) -> None:
        self.slot = burst_format.slot
        self.lead = 2 * self.slot
        self.fixed = 0
        """The first tick of transmission that has no effect yet."""
        self.time = 0
        """The tick up to which the array has received."""
        self.array_first = self.user_first = 0
        """Numbers of the first samples that the last `step` gave."""
        self._user_next = 0
        self._scenario, self._front = scenario, impairments
        one = scenario.replace(coherence=1)  # a draw for each slot
        self._targets, self._users, self._hardware = TargetModel(one), MisoModel(one), hardware(scenario)
        self._target_draws = SnapshotRandom(seed, TARGET_STREAM)
        self._user_draws = SnapshotRandom(seed, CHANNEL_STREAM)
        self._noise = SnapshotRandom(seed, "sim_radio")
        self._amplitude = math.sqrt(
            scenario.transmit_energy / (REFERENCE_POWER * burst_format.samples_per_symbol)
        )
        self._level = NOISE_LEVEL / math.sqrt(scenario.noise_power)
        self._scenes: list[tuple[int, str]] = [(0, SCENES[0])]  # first slot, name
        keep = math.ceil(max(impairments.echo_delay, impairments.user_delay)) + 2 * HALF
        self._keep, self._from = keep, -keep
        antennas = scenario.antennas
        # Sent samples as they are, leakage, echo (K each) and the receiver's signal before their delays.
        self._history = np.zeros((3 * antennas + 1, keep), np.complex128)

    def next_fixed(self) -> int:
        """What `fixed` will be after the next step."""
        return self.time + self.slot + MARGIN

    def set_scene(self, name: str) -> int:
        """Another scene from the next slot on; returns its first tick."""
        first = -(-self.fixed // self.slot)
        self._scenes = [(slot, kept) for slot, kept in self._scenes if slot < first] + [(first, name)]
        return first * self.slot

    def truth(self, first_tick: int, ticks: int) -> Truth:
        """What there is in the slots that the ticks touch."""
        slots = np.arange(first_tick // self.slot, -(-(first_tick + ticks) // self.slot))
        found = [self._slot_truth(int(slot)) for slot in slots]
        return Truth(
            slots,
            Target(
                np.array([target.present[0] for target, _, _ in found], bool),
                np.array([target.angle[0] for target, _, _ in found], np.float64),
                np.array([target.gain[0] for target, _, _ in found], np.complex128),
            ),
            np.array([angle for _, angle, _ in found], np.float64),
            np.array([gain for _, _, gain in found], np.complex128),
        )

    def step(self, sent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Take samples (K, next_fixed() - fixed) and give those of the next slot, complex64."""
        first, last = self.fixed, self.next_fixed()
        parts = [
            self._leave(sent[:, max(low, first) - first : low + self.slot - first], low // self.slot)
            for low in range(first // self.slot * self.slot, last, self.slot)
        ]
        self._history = np.concatenate([self._history, *parts], axis=1)
        self.fixed, begin, self.time = last, self.time, self.time + self.slot
        received = self._arrive(begin), self._arrive_at_user()
        drop = max(self.time - self._keep - self._from, 0)
        self._history, self._from = self._history[:, drop:], self._from + drop
        return received

    def _scene(self, slot: int) -> str:
        return next(name for first, name in reversed(self._scenes) if first <= max(slot, 0))

    def _slot_truth(self, slot: int) -> tuple[Target, float, complex]:
        """Target, ϑ and β of a slot."""
        noise_power, comm_gain = self._scenario.noise_power, self._scenario.comm_gain
        if self._scene(slot) == "calibration":
            reflector = REFLECTOR_AMPLITUDE * math.sqrt(noise_power)
            return Target(np.array([True]), np.zeros(1), np.array([reflector])), 0.0, math.sqrt(comm_gain)
        angle, gain = self._users.draw(self._user_draws, slot, 1)
        return self._targets.draw(self._target_draws, slot, 1), float(angle[0]), complex(gain[0])

    def _leave(self, sent: np.ndarray, slot: int) -> np.ndarray:
        """What samples (K, n) of one slot become before they are delayed: rows as in `_history`."""
        antennas, n = sent.shape
        rows = np.zeros((3 * antennas + 1, n), np.complex128)
        if not sent.any():
            return rows
        rows[:antennas] = sent
        rows[-1] = sent[0]
        if self._scene(slot) == "loopback":
            return rows
        target, comm_angle, comm_gain = self._slot_truth(slot)
        x = self._amplitude * sent.astype(np.complex128)
        radiated = self._front.transmit[:, None] * x
        # Without BLAS: its threads would fight those of the graph over a product this small.
        rows[antennas : 2 * antennas] = np.einsum("rk,kn->rn", self._front.leakage, x)
        if target.present[0]:
            a_tx = self._hardware.transmit.steering(target.angle[0], np.complex128)
            a_rx = self._hardware.receive.steering(target.angle[0], np.complex128)
            rows[2 * antennas : -1] = target.gain[0] * np.outer(a_rx, a_tx @ radiated)
        rows[-1] = comm_gain * (self._hardware.transmit.steering(comm_angle, np.complex128) @ radiated)
        return rows

    def _arrive(self, begin: int) -> np.ndarray:
        """The array's samples (K, slot) from tick `begin` on."""
        antennas, front = self._scenario.antennas, self._front
        self.array_first = begin
        times = np.arange(begin, self.time, dtype=np.float64)
        raw, leakage, echo = (self._history[i * antennas : (i + 1) * antennas] for i in range(3))
        if self._scene(begin // self.slot) == "loopback":
            return np.asarray(raw[:, begin - self._from : self.time - self._from].astype(np.complex64))
        received = np.zeros((antennas, self.slot), np.complex128)
        for signal, delay in ((leakage, front.leakage_delay), (echo, front.echo_delay)):
            if signal.any():
                received += interpolate(signal, self._from, times - delay)
        received *= rotation(times, front.radar_cfo)
        if front.noise:
            variance = self._scenario.noise_power
            noise = self._noise.complex_normal(ARRAY_NOISE, begin, self.slot, antennas, variance)
            received += noise.T
        return quantise((self._level * front.receive[:, None] * received).astype(np.complex64), front.bits)

    def _arrive_at_user(self) -> np.ndarray:
        """The remote receiver's samples up to the array's time."""
        front = self._front
        self.user_first, pace = self._user_next, 1 + front.clock_offset
        self._user_next = max(math.ceil(self.time / pace), self.user_first)
        numbers = np.arange(self.user_first, self._user_next)
        times = numbers * pace
        signal = self._history[-1]
        if self._scene((self.time - 1) // self.slot) == "loopback":
            return np.asarray(signal[np.round(times).astype(np.int64) - self._from].astype(np.complex64))
        received = np.zeros(numbers.size, np.complex128)
        if signal.any():
            received = interpolate(signal, self._from, times - front.user_delay)
            received *= rotation(times, front.cfo, front.cfo_drift)
        if front.noise:
            variance = self._scenario.noise_power
            received += self._noise.complex_normal(
                USER_NOISE, self.user_first, numbers.size, variance=variance
            )
        return quantise((self._level * received).astype(np.complex64), front.bits)
