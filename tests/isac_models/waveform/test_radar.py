"""The radar receiver on bursts of an independent sampler: delay, echo, noise, false alarms, calibration."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from isac_models.detection import MatchedFilter
from isac_models.errors import UserError
from isac_models.scenario import Scenario
from isac_models.waveform.burst_format import BurstFormat
from isac_models.waveform.calibration_vectors import PILOT_REPEATS, Calibration, CalibrationEstimator
from isac_models.waveform.radar import RadarReceiver
from tests.isac_models.waveform.array_scene import (
    HEAD,
    HEADER,
    ArrayScene,
    chain_errors,
    decibels,
    qpsk,
    random_leakage,
)
from tests.isac_models.waveform.scene import noise, steering

Values = np.ndarray[Any, Any]
FORM = BurstFormat()
SCENARIO = Scenario()
ANGLE = np.radians(-30)
BEAM = steering(16, ANGLE).conj() / 4


def scene(level: float, delay: float, **changes: Any) -> ArrayScene:
    """Leakage `level` dB over an echo of power 16 a symbol, 0.3 samples late, and the echo behind it."""
    leakage = random_leakage(np.random.default_rng(1), BEAM, 16 * 10 ** (level / 10))
    return ArrayScene(FORM, BEAM, leakage, 0.3, 0.3 + delay, ANGLE, **changes)


def payload(samples: Values, delay: float) -> Values:
    """Payload symbols (N, K) behind the matched filter at the true delay."""
    return FORM.pulse.sample(samples, HEAD + 0.3 + delay, FORM.symbols)[:, FORM.payload_at].T


@pytest.mark.parametrize("level", [20.0, 40.0])
@pytest.mark.parametrize("delay", [1.0, 1.6, 3.37, 8.0])
def test_every_snapshot_is_the_echo_and_its_noise_as_if_there_were_no_leakage(
    level: float, delay: float
) -> None:
    rng = np.random.default_rng(2)
    one = scene(level, delay)
    receiver = RadarReceiver(FORM)
    gains, errors = [], []
    burst: Any = None
    for _ in range(8):
        symbols = qpsk(rng, FORM.payload)
        leak, echo = one.parts(one.vectors(symbols), 1.0)
        n = noise(rng, *leak.shape)
        burst = receiver.receive((leak + echo + n).astype(np.complex64), HEAD + 0.31, 0.0, symbols, HEADER)
        expected, alone = payload(echo + n, delay), payload(echo, delay)
        found = burst.echo * np.sqrt(burst.noise)
        gains.append(np.vdot(alone, found - payload(n, delay)) / np.vdot(alone, alone))
        errors.append(np.mean(np.abs(found - expected) ** 2))
    assert abs(decibels(abs(np.mean(gains)) ** 2)) < 0.1
    assert burst.delay == pytest.approx(delay, abs=0.1)
    # ‖x‖² = 1: the leakage over the noise is 16 · 10^(level/10), but for the noise's measure.
    assert burst.noise == pytest.approx(1, abs=5 / np.sqrt(8 * 16 * 50))
    assert burst.leakage_db == pytest.approx(decibels(16) + level - decibels(burst.noise), abs=0.01)
    # Below the noise of 1: what the leakage leaves, and the echo's delay, a tenth of a sample at most.
    assert decibels(np.mean(errors)) < -14


def test_noise_is_measured_and_scaled_to_what_the_scenario_says() -> None:
    rng = np.random.default_rng(3)
    one = scene(20.0, 3.0)
    receiver = RadarReceiver(FORM, noise_power=2.5)
    level = 1 / 512
    burst: Any = None
    for _ in range(30):
        symbols = qpsk(rng, FORM.payload)
        y = level * one.window(rng, one.vectors(symbols), 0.0)
        burst = receiver.receive(y, HEAD + 0.3, 0.0, symbols, HEADER)
    quiet = 30 * 16 * 30  # samples of silence, at least
    assert burst.noise == pytest.approx(level**2, rel=5 / np.sqrt(quiet))
    power = np.mean(np.abs(burst.echo) ** 2)
    assert power == pytest.approx(2.5, rel=5 / np.sqrt(FORM.payload * 16) + 5 / np.sqrt(quiet) + 0.01)


def test_a_burst_clock_that_is_off_by_a_fraction_changes_neither_delay_nor_echo() -> None:
    rng = np.random.default_rng(10)
    one = scene(30.0, 2.7)
    receiver = RadarReceiver(FORM)
    errors = []
    for late in (0.2, -0.2, 0.1, -0.15, 0.2, 0.2, 0.2):
        symbols = qpsk(rng, FORM.payload)
        leak, echo = one.parts(one.vectors(symbols), 3.0)
        n = noise(rng, *leak.shape)
        start = HEAD + 0.3 + late
        burst = receiver.receive((leak + echo + n).astype(np.complex64), start, 0.0, symbols, HEADER)
        assert burst.delay == pytest.approx(2.7, abs=0.02)
        errors.append(np.mean(np.abs(burst.echo * np.sqrt(burst.noise) - payload(echo + n, 2.7)) ** 2))
    assert decibels(np.mean(errors)) < -14


def test_a_burst_without_a_target_does_not_move_the_delay() -> None:
    rng = np.random.default_rng(4)
    one = scene(30.0, 4.4)
    receiver = RadarReceiver(FORM)
    delays = []
    for present in (1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0):
        symbols = qpsk(rng, FORM.payload)
        y = one.window(rng, one.vectors(symbols), float(present))
        delays.append(receiver.receive(y, HEAD + 0.3, 0.0, symbols, HEADER).delay)
    assert np.abs(np.array(delays) - 4.4).max() < 0.1


@pytest.mark.parametrize("cfo", [0.0, 1.5e-3])
def test_false_alarms_are_as_many_as_asked_for(cfo: float) -> None:
    rng = np.random.default_rng(5)
    one = scene(35.0, 3.0, cfo=cfo)
    receiver, without = RadarReceiver(FORM), RadarReceiver(FORM, leakage_removal=False)
    detector = MatchedFilter(SCENARIO)
    rates, raw = [], []
    for b in range(40):
        symbols = qpsk(rng, FORM.payload)
        y = one.window(rng, one.vectors(symbols), 0.0)
        echo = receiver.receive(y, HEAD + 0.3, cfo, symbols, HEADER).echo
        rates.append(np.mean(detector.detect(echo).detected))
        if b < 5:
            echo = without.receive(y, HEAD + 0.3, cfo, symbols, HEADER).echo
            raw.append(np.mean(detector.detect(echo).detected))
    spread = np.std(rates, ddof=1) / np.sqrt(len(rates))  # a burst is a block: its leakage estimate is one
    assert np.mean(rates) == pytest.approx(SCENARIO.false_alarm, abs=5 * spread)
    assert spread < 0.2 * SCENARIO.false_alarm
    assert np.mean(raw) > 0.5


@pytest.mark.parametrize(
    ("level", "delay", "errors"),
    [(20.0, 1.0, True), (30.0, 8.0, True), (40.0, 1.6, False), (40.0, 3.37, True)],
)
def test_the_response_is_that_of_the_target_whatever_the_pilots_leak(
    level: float, delay: float, errors: bool
) -> None:
    rng = np.random.default_rng(6)
    transmit = chain_errors(rng, 16) if errors else None
    leakage = random_leakage(np.random.default_rng(1), BEAM, 16 * 10 ** (level / 10))
    receiver = RadarReceiver(FORM, response=True)
    squares, without = [], []
    for b in range(110):
        one = ArrayScene(
            FORM, BEAM, leakage, 0.3, 0.3 + delay, np.radians(rng.uniform(-40, -20)), transmit=transmit
        )
        alpha = complex(noise(rng, 1)[0]) * (b < 2 or rng.random() < 0.5)
        turn = np.exp(2j * np.pi * rng.random())  # another phase of the oscillator for every burst
        symbols = qpsk(rng, FORM.payload)
        leak, echo = one.parts(one.vectors(symbols), alpha)
        y = (turn * (leak + echo) + noise(rng, *leak.shape)).astype(np.complex64)
        burst = receiver.receive(y, HEAD + 0.3, 0.0, symbols, HEADER)
        if b < 70:
            continue
        a, c = one.steering(), np.ones(16) if transmit is None else transmit
        expected = turn * alpha * np.outer(a, a * c)
        assert burst.response is not None
        squares.append(np.mean(np.abs(burst.response * np.sqrt(burst.noise) - expected) ** 2))
        fresh = RadarReceiver(FORM, leakage_removal=False, response=True)
        if b < 75:
            raw = fresh.receive(y, HEAD + 0.3, 0.0, symbols, HEADER)
            assert raw.response is not None
            without.append(np.mean(np.abs(raw.response * np.sqrt(raw.noise) - expected) ** 2))
    # P Pᴴ = I: noise of power 1 an entry. 40 bursts of 256 entries; the pulse's end leaves -51 dB of leakage,
    # and what the leakage was learnt from adds 1/128 or so.
    assert np.mean(squares) == pytest.approx(1, abs=5 / np.sqrt(40 * 256) + 0.03 + 10 ** (level / 10 - 5.1))
    assert np.mean(without) > 10 ** (level / 10) / 4


def test_no_response_unless_it_is_asked_for() -> None:
    rng = np.random.default_rng(11)
    one, symbols = scene(20.0, 3.0), qpsk(rng, FORM.payload)
    y = one.window(rng, one.vectors(symbols), 1.0)
    found = [
        RadarReceiver(FORM, response=asked).receive(y, HEAD + 0.3, 0.0, symbols, HEADER)
        for asked in (False, True)
    ]
    assert found[0].response is None
    assert np.array_equal(found[0].echo, found[1].echo)


def test_what_is_no_number_is_refused_and_what_was_learnt_stays() -> None:
    rng = np.random.default_rng(7)
    one = scene(20.0, 3.0)
    receiver = RadarReceiver(FORM)
    symbols = qpsk(rng, FORM.payload)
    good = one.window(rng, one.vectors(symbols), 1.0)
    receiver.receive(good, HEAD + 0.3, 0.0, symbols, HEADER)
    for place in (10, 700, good.shape[1] - 5):
        for value in (np.nan, np.inf):
            bad = good.copy()
            bad[3, place] = value
            with pytest.raises(UserError, match="not finite numbers; look at the radio's samples") as refusal:
                receiver.receive(bad, HEAD + 0.3, 0.0, symbols, HEADER)
            assert "\n" not in str(refusal.value)
    again = receiver.receive(good, HEAD + 0.3, 0.0, symbols, HEADER)
    assert np.isfinite(again.echo).all()
    assert again.delay == pytest.approx(3.0, abs=0.1)


class Impaired:
    """An array with every chain and every element wrong, and how well it detects."""

    amplitude = 0.19

    def __init__(self) -> None:
        rng = np.random.default_rng(8)
        self.transmit, self.receive = chain_errors(rng, 16), chain_errors(rng, 16)
        self.offsets = rng.normal(0, 1 / 60, 16)
        self.detector = MatchedFilter(SCENARIO)
        self.rng = rng

    def scene(self, form: BurstFormat, beam: Values, angle: float) -> ArrayScene:
        """The array in front of something at an angle."""
        leakage = random_leakage(np.random.default_rng(9), beam, 8 * 10**3)
        errors = {"transmit": self.transmit, "receive": self.receive, "offsets": self.offsets}
        return ArrayScene(form, beam, leakage, 0.3, 3.7, angle, cfo=3e-4, **errors)

    def calibration(self) -> Calibration:
        """Measured in front of a reflector at boresight."""
        form = BurstFormat(pilot_repeats=PILOT_REPEATS)
        one = self.scene(form, np.full(16, 0.25), 0.0)
        estimator = CalibrationEstimator(form)
        symbols = qpsk(self.rng, form.payload)
        for _ in range(12):
            y = one.window(self.rng, one.vectors(symbols), 10.0 * np.exp(1j))
            estimator.add(y, HEAD + 0.3, 3e-4)
        return estimator.estimate()

    def missed(self, calibration: Calibration | None, bursts: int) -> tuple[Values, dict[float, Values]]:
        """Share of missed snapshots by burst, and that of y = α a aᵀ x + n by the echo's gain in dB."""
        receiver = RadarReceiver(FORM, calibration)
        equaliser = np.ones(16) if calibration is None else calibration.equaliser
        through: list[float] = []
        direct: dict[float, list[float]] = {gain: [] for gain in (-0.5, 0.0, 0.5)}
        # What equal chains radiate of the same power: the equaliser has mean square 1.
        chain = 1 / np.sqrt(np.mean(1 / np.abs(self.transmit) ** 2))
        for b in range(bursts + 4):
            angle = np.radians(self.rng.uniform(-36, -24))
            one = self.scene(FORM, BEAM, angle)
            symbols = qpsk(self.rng, FORM.payload)
            # The first bursts are strong: the delay is known before anything is counted.
            alpha = (self.amplitude if b >= 4 else 1.0) * np.exp(2j * np.pi * self.rng.random())
            y = one.window(self.rng, one.vectors(symbols, equaliser), alpha)
            burst = receiver.receive(y, HEAD + 0.3, 3e-4, symbols, HEADER)
            if b < 4:
                continue
            through.append(self._share(burst.echo))
            a = one.steering()
            echo = alpha * chain * np.outer(symbols * (a @ BEAM), a)
            for gain, shares in direct.items():
                shares.append(self._share(10 ** (gain / 20) * echo + noise(self.rng, *echo.shape)))
        return np.array(through), {gain: np.array(shares) for gain, shares in direct.items()}

    def _share(self, echo: Values) -> float:
        return 1 - float(np.mean(self.detector.detect(echo.astype(np.complex64)).detected))


def test_a_calibrated_array_detects_as_well_as_the_model_within_half_a_decibel() -> None:
    array = Impaired()
    found = array.calibration()
    for measured, truth in ((found.transmit, array.transmit), (found.receive, array.receive)):
        fit = np.vdot(measured, truth) / np.vdot(measured, measured)
        assert np.abs(fit * measured - truth).max() < 0.03
    through, direct = array.missed(found, 60)
    assert 0.2 < direct[0.0].mean() < 0.8
    for gain, sign in ((-0.5, 1), (0.5, -1)):  # less misses more
        difference = sign * (direct[gain] - through)
        assert difference.mean() > -5 * difference.std(ddof=1) / np.sqrt(difference.size)
    plain, direct = array.missed(None, 8)
    assert plain.mean() > 0.9 > direct[0.0].mean() + 0.1
