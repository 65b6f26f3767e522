"""The chains of an array, from what an independent sampler says that a reflector returns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from isac_models.errors import UserError
from isac_models.waveform.burst_format import BurstFormat
from isac_models.waveform.calibration_vectors import PILOT_REPEATS, Calibration, CalibrationEstimator
from tests.isac_models.waveform.array_scene import (
    HEAD,
    ArrayScene,
    chain_errors,
    qpsk,
    random_leakage,
)

Values = np.ndarray[Any, Any]


def scene(antennas: int = 16, level: float = 30.0, angle: float = 0.0, cfo: float = 0.0) -> ArrayScene:
    """A reflector behind leakage `level` dB over an echo of power 8."""
    rng = np.random.default_rng(1)
    beam = np.full(antennas, 1 / np.sqrt(antennas))
    return ArrayScene(
        BurstFormat(antennas, pilot_repeats=PILOT_REPEATS),
        beam,
        random_leakage(rng, beam, 8 * 10 ** (level / 10)),
        0.3,
        3.72,
        angle,
        transmit=chain_errors(rng, antennas),
        receive=chain_errors(rng, antennas),
        offsets=rng.normal(0, 1 / 30, antennas),
        cfo=cfo,
    )


def measured(
    one: ArrayScene, bursts: int, gain: float = 10.0, other: ArrayScene | None = None
) -> Calibration:
    """From bursts at random phases; `other` stands in the same place."""
    rng = np.random.default_rng(2)
    estimator = CalibrationEstimator(one.form)
    symbols = qpsk(rng, one.form.payload)
    x = one.vectors(symbols)
    for _ in range(bursts):
        y = one.window(rng, x, gain)
        if other is not None:
            y += other.received(other.parts(x, gain / 2)[1])
        y = (y * np.exp(2j * np.pi * rng.random())).astype(np.complex64)
        estimator.add(y, HEAD + 0.31, one.cfo)
    return estimator.estimate({"device": "test"})


def deviation(found: Values, truth: Values) -> Values:
    """Of every entry, after the common factor that fits best; Σ|found|² = K."""
    factor = np.vdot(truth, found) / np.vdot(truth, truth)
    return np.asarray(np.abs(found - factor * truth))


@pytest.mark.parametrize("level", [20.0, 40.0])
@pytest.mark.parametrize("antennas", [16, 5])
def test_the_chains_are_found_within_the_error_that_is_said(antennas: int, level: float) -> None:
    one = scene(antennas, level, cfo=4e-4)
    found = measured(one, 16)
    assert one.transmit is not None
    assert one.receive is not None
    for values, truth in ((found.transmit, one.transmit), (found.receive, one.receive)):
        assert np.sum(np.abs(values) ** 2) == pytest.approx(antennas)
        assert deviation(values, truth).max() < 5 * found.error
        assert np.sqrt(np.mean(deviation(values, truth) ** 2)) > 0.4 * found.error
    assert found.error < 0.006
    assert found.residual < 0.02
    assert found.key == {"device": "test"}


def test_no_error_stays_however_long_is_measured() -> None:
    one = scene(level=40.0)
    found = measured(one, 100)
    assert one.transmit is not None
    assert one.receive is not None
    assert deviation(found.transmit, one.transmit).max() < 0.006
    assert deviation(found.receive, one.receive).max() < 0.006


def test_more_bursts_make_the_error_smaller_as_their_root() -> None:
    assert measured(scene(), 6).error / measured(scene(), 24).error == pytest.approx(2, rel=0.35)


def test_the_equaliser_makes_chains_alike_and_keeps_the_mean_power() -> None:
    one = scene()
    found = measured(one, 12)
    assert one.transmit is not None
    alike = found.equaliser * one.transmit
    assert np.abs(alike / alike.mean() - 1).max() < 0.03
    assert np.mean(np.abs(found.equaliser) ** 2) == pytest.approx(1)


def test_where_the_elements_stand_does_not_matter_at_boresight() -> None:
    one = scene()
    moved = scene()
    moved.offsets = np.zeros(16)
    assert np.allclose(measured(one, 4).transmit, measured(moved, 4).transmit)


def test_two_reflectors_are_refused() -> None:
    with pytest.raises(UserError, match="not one reflector at boresight: put one there") as refusal:
        measured(scene(), 8, other=scene(angle=0.4))
    assert "\n" not in str(refusal.value)


def test_no_burst_and_no_reflector_are_refused() -> None:
    form = BurstFormat(pilot_repeats=PILOT_REPEATS)
    with pytest.raises(UserError, match="no burst was received"):
        CalibrationEstimator(form).estimate()
    with pytest.raises(UserError, match="not one reflector at boresight"):
        measured(scene(), 4, gain=0.0)


def test_what_is_no_number_is_refused() -> None:
    one = scene()
    estimator = CalibrationEstimator(one.form)
    symbols = qpsk(np.random.default_rng(3), one.form.payload)
    y = one.window(np.random.default_rng(3), one.vectors(symbols), 1.0)
    y[2, 500] = np.nan
    with pytest.raises(UserError, match="not finite numbers"):
        estimator.add(y, HEAD + 0.3, 0.0)


def test_pilots_that_are_repeated_too_seldom_are_refused() -> None:
    with pytest.raises(UserError, match=f"pilots repeated {PILOT_REPEATS} times, not 1"):
        CalibrationEstimator(BurstFormat())
