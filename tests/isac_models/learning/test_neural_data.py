"""Draws of the neural training: their laws, and that each belongs to its number alone."""

from __future__ import annotations

import math

import numpy as np
import pytest

from isac_models.array import hardware
from isac_models.learning.neural_data import HELD_OUT_STREAM, Draws, snapshots
from isac_models.scenario import Scenario

SCENARIO = Scenario.preset("impaired").replace(
    impairment="gain_phase", reciprocal=False, order=16, noise_power=0.5, transmit_energy=2.0
)
COUNT = 20_000
DRAWS = Draws(SCENARIO, 5, angle_scale=0.5)
DRAWN = snapshots(DRAWS.tiles(0, COUNT), COUNT)


def close(found: float, expected: float, spread: float) -> None:
    """The mean of COUNT draws with that standard deviation."""
    assert abs(found - expected) < 5 * spread / math.sqrt(COUNT)


def test_sectors_and_angles_have_the_laws_of_the_paper() -> None:
    prior, angle = DRAWN.prior.double().numpy() / 0.5, DRAWN.angle.double().numpy()
    low, high = prior[:, 0], prior[:, 1]
    mean, span = np.degrees((low + high) / 2), np.degrees(high - low)
    assert -60 <= mean.min() < -59 < 59 < mean.max() <= 60
    assert 10 - 1e-4 <= span.min() < 10.1 < 19.9 < span.max() <= 20 + 1e-4
    close(mean.mean(), 0, 120 / math.sqrt(12))
    close(span.mean(), 15, 10 / math.sqrt(12))
    place = (angle - low) / (high - low)
    assert place.min() > -1e-5
    assert place.max() < 1 + 1e-5
    close(place.mean(), 0.5, 1 / math.sqrt(12))
    np.testing.assert_allclose(prior[:, 2:], np.tile(SCENARIO.comm_sector, (COUNT, 1)), rtol=1e-6)


def test_presence_messages_gains_and_noise_have_their_laws() -> None:
    present, message = DRAWN.present.numpy(), DRAWN.message.numpy()
    close(present.mean(), 0.5, 0.5)
    assert set(present.tolist()) == {0.0, 1.0}
    close((message == 7).mean(), 1 / 16, math.sqrt(1 / 16))
    assert (message.min(), message.max()) == (0, 15)
    gain = DRAWN.gain.numpy()
    assert not gain[present == 0].any()
    close((np.abs(gain) ** 2).mean(), 0.5 * SCENARIO.radar_gain, 1.2 * SCENARIO.radar_gain)
    noise = DRAWN.noise.numpy()
    assert noise.shape == (COUNT, 16)
    close((np.abs(noise[:, 3]) ** 2).mean(), 0.5, 0.5)
    close((noise[:, 0] * noise[:, 1].conj()).real.mean(), 0, 0.5)
    close((np.abs(DRAWN.comm_noise.numpy()) ** 2).mean(), 0.5, 0.5)


def test_arrays_are_the_true_ones_of_either_side() -> None:
    true, angle = hardware(SCENARIO), DRAWN.angle.double().numpy()
    np.testing.assert_allclose(DRAWN.transmit.numpy(), true.transmit.steering(angle), atol=1e-4)
    np.testing.assert_allclose(DRAWN.receive.numpy(), true.receive.steering(angle), atol=1e-4)
    # β a_tx(ϑ): its first element has the phase of β and its ratios belong to an angle of the sector.
    channel = DRAWN.channel.numpy()
    power = np.abs(channel[:, 0] / true.transmit.response[0]) ** 2
    close(power.mean(), SCENARIO.comm_gain, SCENARIO.comm_gain)
    ratio = channel[:, 1] / channel[:, 0] * true.transmit.response[0] / true.transmit.response[1]
    sine = -np.angle(ratio) / (2 * np.pi * (true.transmit.positions[1] - true.transmit.positions[0]))
    low, high = SCENARIO.comm_sector
    assert np.sin(low) - 1e-3 < sine.min() < sine.max() < np.sin(high) + 1e-3


def test_with_step_2_every_snapshot_has_a_target() -> None:
    assert snapshots(DRAWS.tiles(0, 500, present=True), 500).present.numpy().all()


@pytest.mark.parametrize("start", [0, 129, 10_000])
def test_a_snapshot_is_the_same_whatever_else_is_drawn(start: int) -> None:
    part = snapshots(DRAWS.tiles(start, 300), 300)
    for name in (
        "prior",
        "angle",
        "present",
        "message",
        "gain",
        "transmit",
        "noise",
        "channel",
        "comm_noise",
    ):
        whole = getattr(DRAWN, name).numpy()[start : start + 300]
        np.testing.assert_array_equal(getattr(part, name).numpy(), whole)


def test_seeds_and_streams_differ() -> None:
    one = DRAWS.tiles(0, 128)
    for other in (Draws(SCENARIO, 6), Draws(SCENARIO, 5, HELD_OUT_STREAM)):
        assert np.mean(one[0, 11:] == other.tiles(0, 128)[0, 11:]) < 0.01
