"""Radar echo and MISO channel: laws, coherence, and a link assembled from the definitions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from isac_models.array import hardware
from isac_models.draws import NumpyRandom, SnapshotRandom
from isac_models.propagation import GAIN, NOISE, MisoModel, Target, TargetModel, precode
from isac_models.scenario import Scenario

COUNT = 100_000


def scenario(**changes: object) -> Scenario:
    """The impaired preset with some changes."""
    return Scenario.preset("impaired").replace(**changes)


def test_targets_follow_their_laws() -> None:
    chosen = scenario(radar_gain=3.0)
    target = TargetModel(chosen).draw(SnapshotRandom(1, "a"), 0, COUNT)
    assert abs(target.present.mean() - 0.5) < 5 * 0.5 / np.sqrt(COUNT)
    low, high = chosen.target_sector
    assert stats.kstest(target.angle.astype(float), stats.uniform(low, high - low).cdf).pvalue > 1e-6
    assert stats.kstest(np.abs(target.gain).astype(float) ** 2 / 3, "expon").pvalue > 1e-6
    pairs = np.stack([target.present, target.angle, target.gain.real, target.gain.imag])
    assert np.abs(np.corrcoef(pairs) - np.eye(4)).max() < 5 / np.sqrt(COUNT)


@pytest.mark.parametrize("model", [TargetModel, MisoModel])
def test_draws_do_not_depend_on_the_cut(model: type[TargetModel | MisoModel]) -> None:
    for coherence in (1, 7):
        drawn = model(scenario(coherence=coherence))
        random = SnapshotRandom(2, "a")
        for a, b in ((0, 300), (100, 101), (139, 141), (33, 33)):
            whole, part = drawn.draw(random, 0, 300), drawn.draw(random, a, b - a)
            whole_values = vars(whole).values() if isinstance(whole, Target) else whole
            part_values = vars(part).values() if isinstance(part, Target) else part
            for one, other in zip(whole_values, part_values, strict=True):
                assert one[a:b].tolist() == other.tolist()


def test_a_coherence_block_shares_one_draw() -> None:
    target = TargetModel(scenario(coherence=10)).draw(SnapshotRandom(2, "a"), 5, 95)
    for values in (target.present, target.angle, target.gain):
        assert np.all(values[:5] == values[0])
        blocks = values[5:].reshape(9, 10)
        assert np.all(blocks == blocks[:, :1])
    assert len(set(target.angle.tolist())) == 10
    single = TargetModel(scenario()).draw(SnapshotRandom(2, "a"), 0, 10)
    assert target.angle[[0, 5, 15]].tolist() == single.angle[:3].tolist()


@pytest.mark.parametrize(
    "changes",
    [{}, {"impairment": "gain_phase", "reciprocal": False}, {"impaired_side": "transmit"}, {"coherence": 3}],
)
def test_echo_is_equation_one(changes: dict[str, object]) -> None:
    chosen = scenario(**changes, noise_power=0.3)
    random = SnapshotRandom(5, "target_reflector")
    transmitted = SnapshotRandom(5, "x").complex_normal(0, 0, 50, 16)
    model = TargetModel(chosen)
    echo, target = model.observe(transmitted, random, 40)
    noise = random.complex_normal(NOISE, 40, 50, 16, 0.3)
    true = hardware(chosen)
    for n in range(50):
        a_tx = true.transmit.steering(float(target.angle[n]), np.complex128)
        a_rx = true.receive.steering(float(target.angle[n]), np.complex128)
        expected = target.present[n] * target.gain[n] * a_rx * (a_tx @ transmitted[n]) + noise[n]
        assert np.abs(echo[n] - expected).max() < 1e-4


def test_channel_is_equation_two_and_csi_is_that_of_the_beam() -> None:
    chosen = scenario(noise_power=0.3)
    generator = np.random.default_rng(1)
    beam = generator.standard_normal(16) + 1j * generator.standard_normal(16)
    symbol = np.exp(2j * np.pi * generator.random(50)).astype(np.complex64)
    random = SnapshotRandom(5, "miso_channel")
    model = MisoModel(chosen)
    received, csi = model.observe(precode(symbol, beam.astype(np.complex64)), symbol, random, 40)
    angle, gain = model.draw(random, 40, 50)
    assert gain.tolist() == random.complex_normal(GAIN, 40, 50, variance=chosen.comm_gain).tolist()
    kappa = gain * (hardware(chosen).transmit.steering(angle, np.complex128) @ beam)
    noise = random.complex_normal(NOISE, 40, 50, variance=0.3)
    assert np.abs(csi - kappa).max() < 1e-3
    assert np.abs(received - kappa * symbol - noise).max() < 1e-3


def test_double_precision_goes_through_with_any_generator() -> None:
    chosen = scenario()
    random = NumpyRandom(np.random.default_rng(1), np.float64)
    symbol = np.ones(20, np.complex128)
    transmitted = precode(symbol, np.ones(16, np.complex128))
    echo, _ = TargetModel(chosen).observe(transmitted, random, 0)
    received, csi = MisoModel(chosen).observe(transmitted, symbol, random, 0)
    assert {transmitted.dtype, echo.dtype, received.dtype, csi.dtype} == {np.dtype(np.complex128)}


def test_noise_has_its_power_in_both_models() -> None:
    chosen = scenario(noise_power=2.0, comm_gain=1e-12, radar_gain=1e-12)
    symbol = np.ones(COUNT // 10, np.complex64)
    transmitted = precode(symbol, np.ones(16, np.complex64))
    echo, _ = TargetModel(chosen).observe(transmitted, SnapshotRandom(1, "a"), 0)
    received, _ = MisoModel(chosen).observe(transmitted, symbol, SnapshotRandom(1, "b"), 0)
    for values in (echo, received):
        power = np.abs(values.astype(np.complex128)) ** 2
        assert abs(power.mean() / 2 - 1) < 5 / np.sqrt(power.size)
