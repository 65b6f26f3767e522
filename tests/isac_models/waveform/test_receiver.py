from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad
from scipy.special import erfc

from isac_models.constellation import Constellation
from isac_models.errors import UserError
from isac_models.waveform.burst_format import BurstFormat
from isac_models.waveform.header import encode
from isac_models.waveform.receiver import BurstReceiver, estimation_loss, known_places, silence, silent
from isac_models.waveform.synchronise import Sync, synchronise
from tests.isac_models.waveform.scene import Values, noise, sampled, scalar_stream, steering

FORM = BurstFormat()
LENGTH = 1400
BEAM = steering(16, 0.6).conj() / 4


def channel(snr_db: float, beam: Values = BEAM) -> Values:
    """h = β a(ϑ) with |hᵀ v|² = SNR in noise of power 1: (16,)."""
    h = steering(16, 0.5)
    return np.asarray(h / abs(h @ beam) * 10 ** (snr_db / 20) * np.exp(0.7j))


def messages(rng: np.random.Generator, form: BurstFormat = FORM) -> Values:
    """Random messages of one payload."""
    return rng.integers(0, form.order, form.payload).astype(np.uint8)


def quarter_turn_ser(snr: float) -> float:
    """Symbol error rate of QPSK, 2 Q(√S) - Q(√S)²: Proakis and Salehi, eq. (4.3-15)."""
    q = 0.5 * float(erfc(math.sqrt(snr / 2)))
    return 2 * q - q * q


@pytest.mark.parametrize("order", [4, 16])
@pytest.mark.parametrize("delay", [12.0, 12.37, 40.5])
@pytest.mark.parametrize("clock", [-1e-5, 1e-5])
def test_a_burst_arrives_whole_through_delay_drift_and_a_clock_that_is_off(
    order: int, delay: float, clock: float
) -> None:
    form = BurstFormat(order=order)
    rng = np.random.default_rng(1)
    points = Constellation(order)
    snr_db = 20
    h = channel(snr_db)
    receiver = BurstReceiver(form)
    errors = []
    for number in range(4):
        sent = messages(rng, form)
        stream = scalar_stream(form, points.encode(sent), encode(number, 3), h, BEAM)
        start = 100 + form.pulse.delay + delay
        y = (sampled(form, stream, LENGTH, start, 0.004, 1e-8, clock) + noise(rng, LENGTH)).astype(
            np.complex64
        )
        sync = synchronise(y[None], form)
        assert sync.detected
        burst = receiver.receive(y, sync)
        assert burst.header == (number, 3)
        assert np.array_equal(points.decide(burst.payload, burst.csi), sent)
        assert burst.start == pytest.approx(start, abs=0.05)
        errors.append(burst.evm**2)
    # Noise, what κ̂ adds, and the clock: at 1e-5 the last symbol comes 0.0116 of a sample late, -39 dB.
    # The points that are decided for are those sent; the payload's N errors are exponentially distributed.
    expected = 10 ** (-snr_db / 10) * estimation_loss(form).mean()
    deviation = 5 / math.sqrt(4 * form.payload)
    assert 1 - deviation < np.mean(errors) / expected < 1.1 + deviation


def test_what_the_channel_estimate_costs_is_the_closed_form_and_below_a_tenth_of_a_decibel() -> None:
    assert 10 * np.log10(estimation_loss(FORM).mean()) < 0.1
    rng = np.random.default_rng(2)
    h, start = channel(10), 130.25
    stream = scalar_stream(FORM, Constellation(4).encode(messages(rng)), encode(1, 0), h, BEAM)
    clean = sampled(FORM, stream, LENGTH, start)
    receiver = BurstReceiver(FORM)
    errors = np.array(
        [
            np.abs(
                receiver.receive(clean + noise(rng, LENGTH), Sync(start, 0, 0, True), noise=1).csi - h @ BEAM
            )
            ** 2
            for _ in range(500)
        ]
    ).mean(axis=1)
    expected = estimation_loss(FORM).mean() - 1
    # Terms of second order: 5 %.
    assert abs(errors.mean() - expected) < 5 * errors.std() / math.sqrt(500) + 0.05 * expected


def test_the_loss_is_that_of_regression_and_at_least_one_over_the_known_symbols() -> None:
    places = known_places(FORM)
    assert places.size == 191 + 96 + 17
    losses = []
    for degree in (0, 1, 2):  # gain and phase each take half
        design, wanted = np.vander(places / 500, degree + 1), np.vander(FORM.payload_at / 500, degree + 1)
        spread = np.einsum("ni,ij,nj->n", wanted, np.linalg.inv(design.T @ design), wanted)
        losses.append(1 + (1 / places.size + spread) / 2)
    assert np.allclose(losses[0], 1 + 1 / 304)
    chance = quad(lambda z: 2 * z * z * stats.norm.pdf(z), 2, np.inf)[0]
    assert np.allclose(estimation_loss(FORM), losses[1] + chance * (losses[2] - losses[1]))


def test_symbol_errors_are_those_of_known_csi_but_for_a_tenth_of_a_decibel() -> None:
    rng = np.random.default_rng(3)
    points, receiver = Constellation(4), BurstReceiver(FORM)
    snr_db, start, cfo, trials = 8.0, 141.5, 0.003, 400
    h, sent = channel(snr_db), messages(rng)
    stream = scalar_stream(FORM, points.encode(sent), encode(9, 9), h, BEAM)
    clean = sampled(FORM, stream, LENGTH, start, cfo)
    turn = np.exp(-2j * np.pi * cfo * (np.arange(LENGTH) - start))
    known = np.full(FORM.payload, h @ BEAM)
    excess, ideal = np.zeros(trials), np.zeros(trials)
    for i in range(trials):
        y = clean + noise(rng, LENGTH)
        burst = receiver.receive(y, synchronise(y[None], FORM))
        y_known = FORM.pulse.sample(y * turn, start, FORM.symbols)[FORM.payload_at]
        ideal[i] = np.mean(points.decide(y_known, known) != sent)
        excess[i] = np.mean(points.decide(burst.payload, burst.csi) != sent) - ideal[i]
    theory = quarter_turn_ser(10 ** (snr_db / 10))
    assert abs(ideal.mean() - theory) < 5 * math.sqrt(theory / (trials * FORM.payload))
    allowed = quarter_turn_ser(10 ** ((snr_db - 0.1) / 10)) - theory
    assert excess.mean() < allowed + 5 * excess.std() / math.sqrt(trials)


def test_without_pilots_a_drift_of_the_frequency_is_fatal_and_with_them_it_is_not() -> None:
    rates = rates_of_error(drift=5e-7, cfo=0.002)
    assert rates["all"] < 0.005
    assert rates["no pilots"] > 0.2


def test_without_correction_of_the_frequency_nothing_is_right() -> None:
    rates = rates_of_error(drift=0.0, cfo=0.004)
    assert rates["all"] < 0.005
    assert rates["no correction"] > 0.6


def rates_of_error(drift: float, cfo: float) -> dict[str, float]:
    """Symbol error rates at 13 dB of the receiver and of the same with a part switched off."""
    rng = np.random.default_rng(4)
    points = Constellation(4)
    receivers = {
        "all": BurstReceiver(FORM),
        "no pilots": BurstReceiver(FORM, phase_tracking=False),
        "no correction": BurstReceiver(FORM, cfo_correction=False),
    }
    rates = dict.fromkeys(receivers, 0.0)
    for number in range(8):
        sent = messages(rng)
        stream = scalar_stream(FORM, points.encode(sent), encode(number, 0), channel(13), BEAM)
        y = sampled(FORM, stream, LENGTH, 133.3, cfo, drift) + noise(rng, LENGTH)
        sync = synchronise(y[None], FORM)
        for name, receiver in receivers.items():
            burst = receiver.receive(y, sync)
            rates[name] += float(np.mean(points.decide(burst.payload, burst.csi) != sent)) / 8
    return rates


def test_without_tracking_the_estimate_is_frozen() -> None:
    y = noise(np.random.default_rng(5), LENGTH)
    csi = BurstReceiver(FORM, phase_tracking=False).receive(y, Sync(100.0, 0.01, 0, True)).csi
    assert np.all(csi == csi[0])


@pytest.mark.parametrize(("antennas", "repeats"), [(16, 1), (5, 2)])
def test_the_channel_of_every_antenna_has_the_error_of_least_squares(antennas: int, repeats: int) -> None:
    form = BurstFormat(antennas=antennas, payload=16, pilot_repeats=repeats)
    rng = np.random.default_rng(6)
    h = 3 * noise(rng, antennas)
    beam = h.conj() / np.linalg.norm(h)
    stream = scalar_stream(form, np.ones(16), encode(1, 0), h, beam)
    clean = sampled(form, stream, 800, 90.4)
    receiver = BurstReceiver(form)
    power = 0.25
    errors = np.array(
        [
            receiver.receive(
                clean + math.sqrt(power) * noise(rng, 800), Sync(90.4, 0, 0, True), noise=power
            ).channel
            - h / math.sqrt(power)
            for _ in range(300)
        ]
    )
    # N0 / repeats each, in units of the noise; a few per mille more from the phase of symbol 0.
    measured = np.mean(np.abs(errors) ** 2) * repeats
    assert abs(measured - 1) < 5 / math.sqrt(300 * antennas) + 0.05


def test_the_noise_is_measured_in_the_guards_alone() -> None:
    rng = np.random.default_rng(7)
    stream = scalar_stream(FORM, np.ones(256), encode(1, 0), channel(40), BEAM)
    power, trials = 3e-4, 60
    y = np.zeros(3000, complex)
    for start in (-1000.0, 280.0, 1560.0):  # a burst before, the one, a burst behind
        y += math.sqrt(power) * sampled(FORM, stream, 3000, start)
    quiet = silent(FORM, 280.0, 3000)
    assert np.max(np.abs(y[quiet])) == 0
    assert quiet.size > 120
    receiver = BurstReceiver(FORM)
    levels = [
        receiver.receive(y + math.sqrt(power) * noise(rng, 3000), Sync(280.0, 0, 0, True)).noise
        for _ in range(trials)
    ]
    assert abs(np.mean(levels) / power - 1) < 5 / math.sqrt(trials * quiet.size)


def test_where_there_is_no_guard_the_known_symbols_tell_the_noise() -> None:
    rng = np.random.default_rng(8)
    stream = scalar_stream(FORM, np.ones(256), encode(1, 0), channel(15), BEAM)
    y = sampled(FORM, stream, FORM.samples, FORM.pulse.delay) + noise(rng, FORM.samples)
    burst = BurstReceiver(FORM).receive(y, Sync(FORM.pulse.delay, 0, 0, True))
    assert abs(burst.noise - 1) < 5 / math.sqrt(304) + 0.02


def test_amplitudes_are_in_units_of_the_noise() -> None:
    rng = np.random.default_rng(9)
    stream = scalar_stream(FORM, np.ones(256), encode(1, 0), channel(17), BEAM)
    y = 0.01 * (sampled(FORM, stream, LENGTH, 120) + noise(rng, LENGTH))
    burst = BurstReceiver(FORM).receive(y.astype(np.complex64), Sync(120, 0, 0, True), noise=1e-4)
    assert burst.noise == 1e-4
    assert 10 * np.log10(burst.snr) == pytest.approx(17, abs=0.2)
    assert np.mean(np.abs(burst.payload - burst.csi) ** 2) == pytest.approx(1, abs=5 / 16)
    assert all(values.dtype == np.complex64 for values in (burst.payload, burst.csi, burst.channel))
    assert (burst.payload.shape, burst.csi.shape, burst.channel.shape) == ((256,), (256,), (16,))


def test_noise_alone_and_silence_are_received_as_what_they_are() -> None:
    receiver = BurstReceiver(FORM)
    heard = receiver.receive(noise(np.random.default_rng(10), LENGTH), Sync(100.0, 0, 0, False))
    assert heard.header is None
    assert heard.snr < 1
    silence = receiver.receive(np.zeros(LENGTH, np.complex64), Sync(100.0, 0, 0, False))
    assert silence.snr == 0
    assert silence.evm == math.inf


def test_what_cannot_be_received_is_refused_in_one_line() -> None:
    receiver, sync = BurstReceiver(FORM), Sync(100.0, 0, 0, True)
    with pytest.raises(UserError, match="shape"):
        receiver.receive(np.zeros((1, LENGTH), np.complex64), sync)
    with pytest.raises(UserError, match="finite"):
        receiver.receive(np.full(LENGTH, np.inf, np.complex64), sync)
    for power in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(UserError, match="above 0"):
            receiver.receive(np.zeros(LENGTH, np.complex64), sync, noise=power)


def test_the_silence_of_a_window_is_the_mean_power_of_its_silent_samples() -> None:
    window = noise(np.random.default_rng(3), 3000)
    for start in (280.0, 20.3, 1900.6):
        count, power = silence(FORM, window, start)
        quiet = window[silent(FORM, start, window.size)]
        assert count == quiet.size
        assert power == pytest.approx(np.mean(np.abs(quiet) ** 2), rel=1e-5)
    assert silence(FORM, window[:100], 90.0)[0] == silent(FORM, 90.0, 100).size
    assert silence(FORM, window[:10], 5000.0) == (0, 0.0)
