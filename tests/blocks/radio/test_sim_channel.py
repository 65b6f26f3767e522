"""The scene against its equations, evaluated here for a tone, whose delays and shifts have closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from blocks.radio.sim_channel import NOISE_LEVEL, REFLECTOR_AMPLITUDE, SimChannel, Truth
from isac_models.array import hardware
from isac_models.draws import SnapshotRandom
from isac_models.impairments import Impairments
from isac_models.propagation import CHANNEL_STREAM, TARGET_STREAM, MisoModel, TargetModel
from isac_models.scenario import Scenario
from isac_models.waveform.burst_format import REFERENCE_POWER, BurstFormat

K, SEED, STEPS = 4, 11, 6
SCENARIO = Scenario(antennas=K, grid_size=64, impairment="spacing", noise_power=2.0, coherence=256)
FORMAT = BurstFormat(antennas=K)
TONE = 0.1  # cycles per tick: well within the band
DEPTH = 10 ** (-60 / 20)


def through(front: Impairments, scene: str = "scenario", steps: int = STEPS) -> tuple[np.ndarray, np.ndarray]:
    """A tone of amplitude (k+1)/100 from antenna k for some slots: what array and receiver take."""
    channel = SimChannel(SCENARIO, front, FORMAT, SEED)
    channel.set_scene(scene)
    array, user = [], []
    for _ in range(steps):
        times = np.arange(channel.fixed, channel.next_fixed())
        one, other = channel.step(tone(times).astype(np.complex64))
        array.append(one)
        user.append(other)
    return np.concatenate(array, axis=1), np.concatenate(user)


def tone(times: np.ndarray) -> np.ndarray:
    """Sent samples (K, n) at any times."""
    return np.outer(np.arange(1, K + 1) / 100, np.exp(2j * np.pi * TONE * times))


def truth(steps: int = STEPS) -> Truth:
    """What there was."""
    return SimChannel(SCENARIO, Impairments.none(K), FORMAT, SEED).truth(0, steps * FORMAT.slot)


def inner(slots: int) -> np.ndarray:
    """Ticks away from the borders of slots, where two channels meet in the pulse of interpolation."""
    ticks = np.arange(slots * FORMAT.slot)
    return ticks[(ticks % FORMAT.slot > 60) & (ticks % FORMAT.slot < FORMAT.slot - 60)]


SCALE = np.sqrt(SCENARIO.transmit_energy / (REFERENCE_POWER * FORMAT.samples_per_symbol))
LEVEL = NOISE_LEVEL / np.sqrt(SCENARIO.noise_power)
FRONT = Impairments.draw(3, K).without("noise", "bits")


def test_truth_is_what_the_link_draws_for_its_blocks() -> None:
    found = truth()
    one = SCENARIO.replace(coherence=FORMAT.payload)
    target = TargetModel(one).draw(SnapshotRandom(SEED, TARGET_STREAM), 0, STEPS * FORMAT.payload)
    angle, gain = MisoModel(one).draw(SnapshotRandom(SEED, CHANNEL_STREAM), 0, STEPS * FORMAT.payload)
    block = slice(None, None, FORMAT.payload)
    np.testing.assert_array_equal(found.slot, np.arange(STEPS))
    np.testing.assert_array_equal(found.target.present, target.present[block])
    np.testing.assert_allclose(found.target.angle, target.angle[block])
    np.testing.assert_allclose(found.target.gain, target.gain[block])
    np.testing.assert_allclose(found.comm_angle, angle[block])
    np.testing.assert_allclose(found.comm_gain, gain[block])
    assert 0 < found.target.present.sum() < STEPS  # both hypotheses are tested below


def test_the_array_hears_leakage_and_echo_as_the_equation_says() -> None:
    array, _ = through(FRONT)
    found, arrays, ticks = truth(), hardware(SCENARIO), inner(STEPS)
    slot = ticks // FORMAT.slot
    leakage = FRONT.leakage @ tone(ticks - FRONT.leakage_delay)
    radiated = FRONT.transmit[:, None] * tone(ticks - FRONT.echo_delay)
    angle = found.target.angle[slot]
    a_tx = arrays.transmit.steering(angle, np.complex128).T
    a_rx = arrays.receive.steering(angle, np.complex128).T
    gain = found.target.present[slot] * found.target.gain[slot]
    expected = (
        LEVEL * SCALE * FRONT.receive[:, None] * (leakage + gain * a_rx * (a_tx * radiated).sum(axis=0))
    )
    assert np.abs(array[:, ticks] - expected).max() < DEPTH * np.abs(expected).max()
    echo_alone, _ = through(FRONT.without("leakage"))
    without = expected - LEVEL * SCALE * FRONT.receive[:, None] * leakage
    assert np.abs(echo_alone[:, ticks] - without).max() < DEPTH * np.abs(without).max()


def test_the_receiver_hears_the_beam_shifted_delayed_and_with_its_own_clock() -> None:
    _, user = through(FRONT)
    found, numbers = truth(), inner(STEPS)
    times = numbers * (1 + FRONT.clock_offset)
    slot = numbers // FORMAT.slot
    a = hardware(SCENARIO).transmit.steering(found.comm_angle[slot], np.complex128).T
    radiated = FRONT.transmit[:, None] * tone(times - FRONT.user_delay)
    shift = np.exp(2j * np.pi * (FRONT.cfo * times + FRONT.cfo_drift * times**2 / 2))
    expected = LEVEL * SCALE * found.comm_gain[slot] * (a * radiated).sum(axis=0) * shift
    assert np.abs(user[numbers] - expected).max() < DEPTH * np.abs(expected).max()


def test_the_calibration_scene_is_a_reflector_at_boresight_without_fading() -> None:
    front = FRONT.without("leakage")
    array, user = through(front, "calibration", 2)
    ticks = inner(2)
    sent = (front.transmit[:, None] * tone(ticks - front.echo_delay)).sum(axis=0)
    expected = NOISE_LEVEL * SCALE * REFLECTOR_AMPLITUDE * np.outer(front.receive, sent)
    assert np.abs(array[:, ticks] - expected).max() < DEPTH * np.abs(expected).max()
    level = np.abs(user[ticks])
    assert np.ptp(level) < 2 * DEPTH * level.max()
    channel = SimChannel(SCENARIO, front, FORMAT, SEED)
    channel.set_scene("calibration")
    assert channel.truth(0, 1).target.angle == 0


def test_noise_is_white_has_its_level_and_goes_through_the_receive_gains() -> None:
    channel = SimChannel(SCENARIO, Impairments.none(K), FORMAT, SEED)
    silence = [np.zeros((K, 2 * FORMAT.slot), np.complex64)[:, : channel.next_fixed()]]
    array, user = channel.step(silence[0])
    noise = np.concatenate([array, user[None]]) / NOISE_LEVEL
    n = noise.size
    assert abs(np.mean(np.abs(noise) ** 2) - 1) < 5 / np.sqrt(n)
    assert abs(np.mean(noise**2)) < 5 * np.sqrt(2 / n)
    assert abs(np.mean(noise[:, 1:] * noise[:, :-1].conj())) < 5 / np.sqrt(n)
    other, _ = SimChannel(SCENARIO, FRONT.__class__.draw(3, K).without("bits"), FORMAT, SEED).step(silence[0])
    np.testing.assert_allclose(other, FRONT.receive[:, None] * array, rtol=1e-5, atol=1e-9)


def test_twelve_bits_have_steps_and_an_end() -> None:
    array, _ = through(Impairments.draw(3, K), steps=1)
    np.testing.assert_array_equal(array * 2048, np.round(array * 2048))
    assert np.abs(array.view(np.float32)).max() <= 1


def test_the_scene_changes_with_the_next_slot() -> None:
    channel = SimChannel(SCENARIO, Impairments.none(K), FORMAT, SEED)
    channel.step(np.zeros((K, channel.next_fixed()), np.complex64))
    assert channel.set_scene("calibration") == 2 * FORMAT.slot  # slot 1 has begun to leave
    found = channel.truth(0, 4 * FORMAT.slot)
    np.testing.assert_array_equal(found.target.angle == 0, [False, False, True, True])
    assert channel.set_scene("scenario") == 2 * FORMAT.slot
    assert not (channel.truth(0, 4 * FORMAT.slot).target.angle == 0).any()


@pytest.mark.parametrize(("first", "ticks", "slots"), [(0, 1, [0]), (1279, 2, [0, 1]), (2560, 1280, [2])])
def test_truth_covers_the_slots_that_are_touched(first: int, ticks: int, slots: list[int]) -> None:
    channel = SimChannel(SCENARIO, Impairments.none(K), BurstFormat(), SEED)
    assert BurstFormat().slot == 1280
    np.testing.assert_array_equal(channel.truth(first, ticks).slot, slots)
