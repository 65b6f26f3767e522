"""The response from orthogonal pilots: mixing by delay against sampled bursts, leakage over bursts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from isac_models.waveform.burst_format import BurstFormat
from isac_models.waveform.response import ResponseEstimator
from tests.isac_models.waveform.array_scene import vectors_at
from tests.isac_models.waveform.scene import noise, steering

Values = np.ndarray[Any, Any]
FORM = BurstFormat()
BEAM = steering(16, np.radians(-30)).conj() / 4
DELAY = 2.6


@pytest.mark.parametrize("form", [FORM, BurstFormat(antennas=12, pilot_repeats=2)])
@pytest.mark.parametrize("delay", [0.0, 0.3, 1.0, 3.37, 12.0])
def test_pilots_looked_at_too_late_are_mixed_as_the_pulse_says(form: BurstFormat, delay: float) -> None:
    k, n = form.orthogonal.shape
    x = np.zeros((k, form.symbols), complex)
    x[:, form.orthogonal_at] = form.orthogonal
    first = 100.3 + int(form.orthogonal_at[0]) * form.samples_per_symbol
    sampled = vectors_at(form, x, form.samples + 200, 100.3)  # antenna k alone in row k: L = I
    seen = form.pulse.sample(sampled, first + delay, n)
    mixing = ResponseEstimator(form, np.ones(k)).mixing(delay)
    assert np.abs(seen @ form.orthogonal.conj().T * (k / n) - mixing).max() < 1e-3
    if delay == 0:
        assert np.abs(mixing - np.eye(k)).max() < 5e-3  # Nyquist, but for the pulse's ends


class Pilots:
    """Bursts of the model in the module's head: leakage, an echo, noise, with phases of their own."""

    def __init__(self, level: float, seed: int = 1) -> None:
        self.rng = np.random.default_rng(seed)
        self.estimator = ResponseEstimator(FORM, BEAM)
        self.leakage = noise(self.rng, 16, 16) * 10 ** (level / 20)
        self.ahead, self.behind = (self.estimator.mixing(d) for d in (DELAY, -DELAY))

    def burst(self, alpha: complex, angle: float, sigma: float = 1.0, removal: bool = True) -> Values:
        """The error of one burst's response, (16, 16)."""
        a = steering(16, angle)
        turn = np.exp(2j * np.pi * self.rng.random())
        leakage, echo = turn * self.leakage, turn * alpha * np.outer(a, a)
        early, late = (
            (response + sigma * noise(self.rng, 16, 16)) @ FORM.orthogonal
            for response in (leakage + echo @ self.behind, leakage @ self.ahead + echo)
        )
        payload = sigma / 16 * noise(self.rng, 2, 16)  # 256 symbols
        told = (leakage @ BEAM + payload[0], echo @ BEAM + payload[1])
        found = self.estimator.estimate(early, late, DELAY, *told, sigma**2, removal)
        return np.asarray(found - echo)


def power(values: Values | list[Values]) -> float:
    """Mean square."""
    return float(np.mean(np.abs(np.asarray(values)) ** 2))


@pytest.mark.parametrize("level", [20.0, 40.0])
@pytest.mark.parametrize("amplitude", [0.2, 1.0, 30.0])
def test_over_bursts_the_leakage_goes_and_the_echo_stays(level: float, amplitude: float) -> None:
    pilots = Pilots(level)
    errors = []
    for b in range(200):
        alpha = amplitude * complex(noise(pilots.rng, 1)[0]) * (pilots.rng.random() < 0.5)
        error = pilots.burst(alpha, np.radians(pilots.rng.uniform(-40, -20)))
        errors += [error] if b >= 140 else []
    # The noise of the burst itself, and of the leakage that was learnt.
    assert power(errors) == pytest.approx(1, abs=5 / np.sqrt(60 * 256) + 0.05)


def test_one_burst_alone_cannot_tell_them_apart() -> None:
    errors = [Pilots(20.0, seed).burst(10.0, np.radians(-30), 0.1) for seed in range(5)]
    assert power(errors) > 10  # of an echo of power 100 an entry


def test_a_target_that_stays_in_one_direction_keeps_its_response() -> None:
    pilots = Pilots(30.0)
    errors = [pilots.burst(complex(noise(pilots.rng, 1)[0]), np.radians(-30)) for _ in range(300)][200:]
    assert power(errors) == pytest.approx(1, abs=5 / np.sqrt(100 * 256) + 0.1)


def test_leakage_that_changes_is_followed() -> None:
    pilots = Pilots(30.0)

    def bursts(count: int) -> list[Values]:
        angle = np.radians(pilots.rng.uniform(-40, -20, count))
        return [pilots.burst(complex(noise(pilots.rng, 1)[0]), theta) for theta in angle]

    bursts(150)
    pilots.leakage = pilots.leakage + 10 * noise(pilots.rng, 16, 16)
    after = bursts(900)
    assert power(after[:20]) > 10
    assert power(after[-100:]) == pytest.approx(1, abs=0.1)


def test_without_removal_the_pilots_are_given_as_they_came() -> None:
    pilots = Pilots(30.0)
    errors = [pilots.burst(0.0, 0.0, removal=False) for _ in range(20)]
    assert power(errors) == pytest.approx(power(pilots.leakage @ pilots.ahead) + 1, rel=0.02)
    assert not pilots.estimator.leakage.any()
