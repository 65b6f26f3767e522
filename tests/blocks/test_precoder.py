"""The baseline precoder."""

from __future__ import annotations

import numpy as np
import pytest

from blocks import Precoder
from isac_models.array import hardware
from isac_models.beamforming import baseline_beam
from isac_models.errors import UserError
from isac_models.grid import angle_grid, sector_mask
from isac_models.scenario import Scenario

SCENARIO = Scenario.preset("impaired")


def test_every_symbol_leaves_through_the_beam() -> None:
    precoder = Precoder(SCENARIO, rho=0.3, phi=1.0)
    symbol = np.array([1, 1j, -1, 0.5 - 0.5j], np.complex64)
    transmitted = precoder.work(symbol)["transmitted"]
    assert transmitted.dtype == np.complex64
    np.testing.assert_allclose(
        transmitted, np.outer(symbol, baseline_beam(SCENARIO, 0.3, 1.0)), rtol=1e-6, atol=1e-7
    )


def test_the_transmitted_energy_is_that_of_the_scenario() -> None:
    precoder = Precoder(SCENARIO.replace(transmit_energy=3.0))
    transmitted = precoder.work(np.ones(1, np.complex64))["transmitted"]
    assert np.sum(np.abs(transmitted) ** 2) == pytest.approx(3, rel=1e-6)


def test_a_known_array_gets_the_beam_for_the_true_one() -> None:
    known = Precoder(SCENARIO, rho=1.0, known_array=True)
    np.testing.assert_array_equal(known.beam, baseline_beam(SCENARIO, 1.0, array=hardware(SCENARIO).transmit))
    # Its true pattern is nearest to the wanted one: it has the largest cosine with b.
    grid = angle_grid(SCENARIO.grid_size)
    steering = hardware(SCENARIO).transmit.steering(grid, np.complex128)
    wanted = sector_mask(grid, SCENARIO.target_sector)
    nearness = [
        abs((steering @ beam)[wanted].sum()) / np.linalg.norm(steering @ beam)
        for beam in (known.beam, Precoder(SCENARIO, rho=1.0).beam)
    ]
    assert nearness[0] > 1.001 * nearness[1]


@pytest.mark.parametrize("rho", [-0.1, 1.1, float("nan")])
def test_an_impossible_share_is_refused(rho: float) -> None:
    with pytest.raises(UserError, match="rho"):
        Precoder(SCENARIO, rho)


def test_beams_that_cancel_are_refused() -> None:
    same = SCENARIO.replace(comm_sector=SCENARIO.target_sector)
    with pytest.raises(UserError, match="cancel"):
        Precoder(same, 0.5, np.pi)
