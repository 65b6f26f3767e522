"""The response from orthogonal pilots: interference against sampled bursts, leakage over bursts."""

from __future__ import annotations

import math
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
NULL = math.degrees(math.asin(-1 / 4))
"""Of the beam: sin θ is an eighth, twice, from where it points."""
DELAY = 2.6


@pytest.mark.parametrize("form", [FORM, BurstFormat(antennas=12, pilot_repeats=2)])
@pytest.mark.parametrize("delay", [0.0, 0.3, 1.0, 3.37, 12.0])
def test_pilots_sampled_too_late_interfere_as_the_pulse_says(form: BurstFormat, delay: float) -> None:
    k, n = form.orthogonal.shape
    x = np.zeros((k, form.symbols), complex)
    x[:, form.orthogonal_at] = form.orthogonal
    first = 100.3 + int(form.orthogonal_at[0]) * form.samples_per_symbol
    sampled = vectors_at(form, x, form.samples + 200, 100.3)  # antenna k alone in row k: L = I
    seen = form.pulse.sample(sampled, first + delay, n)
    found = ResponseEstimator(form).interference(delay)
    assert np.abs(seen @ form.orthogonal.conj().T * (k / n) - found).max() < 1e-3
    if delay == 0:
        assert np.abs(found - np.eye(k)).max() < 5e-3  # Nyquist, but for the pulse's ends


class Pilots:
    """Bursts of the model in the module's head: leakage, an echo, noise, with phases of their own."""

    def __init__(self, level: float, seed: int = 1) -> None:
        self.rng = np.random.default_rng(seed)
        self.estimator = ResponseEstimator(FORM)
        self.leakage = noise(self.rng, 16, 16) * 10 ** (level / 20)
        self.ahead, self.behind = (self.estimator.interference(d) for d in (DELAY, -DELAY))

    def burst(self, alpha: Values | complex, angle: Values | float, removal: bool = True) -> Values:
        """The error of one burst's response, (16, 16); gains and angles of one target or several."""
        echo = sum(
            gain * np.outer(steering(16, theta), steering(16, theta))
            for gain, theta in zip(np.atleast_1d(alpha), np.atleast_1d(angle), strict=True)
        )
        turn = np.exp(2j * np.pi * self.rng.random())
        leakage, echo = turn * self.leakage, turn * echo
        early, late = (
            (response + noise(self.rng, 16, 16)) @ FORM.orthogonal
            for response in (leakage + echo @ self.behind, leakage @ self.ahead + echo)
        )
        payload = echo @ BEAM + noise(self.rng, 16) / 16  # of 256 symbols
        return np.asarray(self.estimator.estimate(early, late, DELAY, payload, 1.0, removal) - echo)

    def fading(self, amplitude: float, count: int = 1) -> Values:
        """Gains of targets that are there half of the time."""
        return amplitude * noise(self.rng, count) * (self.rng.random() < 0.5)


def power(values: Values | list[Values]) -> float:
    """Mean square."""
    return float(np.mean(np.abs(np.asarray(values)) ** 2))


def spread(bursts: int) -> float:
    """Five standard errors of the noise's power over so many bursts of 16 · 16 entries."""
    return 5 / math.sqrt(bursts * 256)


@pytest.mark.parametrize("level", [20.0, 40.0])
@pytest.mark.parametrize("amplitude", [0.2, 1.0, 30.0])
@pytest.mark.parametrize("width", [0.0, 10.0])
def test_over_bursts_the_leakage_goes_and_the_echo_stays(
    level: float, amplitude: float, width: float
) -> None:
    pilots = Pilots(level)
    errors = []
    for b in range(200):
        angle = np.radians(-30 + pilots.rng.uniform(-width, width))
        error = pilots.burst(pilots.fading(amplitude), angle)
        errors += [error] if b >= 140 else []
    # The noise of the burst itself, and of the leakage that was learnt.
    assert power(errors) == pytest.approx(1, abs=spread(60) + 0.06)


@pytest.mark.parametrize("angles", [(-30.0, -33.0), (NULL,)])
def test_of_what_the_payload_does_not_show_a_hundredth_is_left(angles: tuple[float, ...]) -> None:
    """Two targets, and one in a null of the beam, always in the same directions."""
    pilots = Pilots(30.0)
    amplitude, places = 30.0, np.radians(angles)
    errors = [pilots.burst(pilots.fading(amplitude, places.size), places) for _ in range(300)]
    echo = power(np.sqrt(0.5) * amplitude * np.ones(places.size)) * places.size
    assert power(errors[200:]) < 1 + spread(100) + 0.06 + echo / 100


def test_one_burst_alone_cannot_tell_them_apart() -> None:
    errors = [Pilots(20.0, seed).burst(10.0, np.radians(-30)) for seed in range(5)]
    assert power(errors) > 10  # of an echo of power 100 an entry


@pytest.mark.parametrize("amplitude", [1.0, 30.0])
def test_a_target_that_fades_and_never_goes_away_keeps_its_response(amplitude: float) -> None:
    pilots = Pilots(30.0)
    errors = [pilots.burst(amplitude * noise(pilots.rng, 1), np.radians(-30)) for _ in range(300)][200:]
    # What its direction shows of the leakage is seen in its fades: a thousandth of its power remains at most.
    assert 1 - spread(100) < power(errors) < 1 + spread(100) + 0.03 + amplitude**2 / 1000


def test_leakage_that_changes_is_followed() -> None:
    pilots = Pilots(30.0)

    def bursts(count: int) -> list[Values]:
        angle = np.radians(pilots.rng.uniform(-40, -20, count))
        return [pilots.burst(pilots.fading(1.0), theta) for theta in angle]

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
