"""The demodulator of the neural baseline, and the whole neural link."""

from __future__ import annotations

import numpy as np
import pytest

import blocks
from blocks import NeuralDemodulator
from blocks.registry import KINDS, build
from blocks.runtime import Flowgraph
from isac_models.artifact import ArtifactWarning
from isac_models.errors import UserError
from isac_models.monte_carlo import evaluate
from isac_models.scenario import Scenario
from tests.isac_models.artifacts import neural

SCENARIO = Scenario.preset("limited")
TRAINED = neural(SCENARIO)


def test_decisions_are_the_network_s() -> None:
    random = np.random.default_rng(2)
    received, csi = (3 * random.standard_normal((2, 9000, 2), np.float32)).view(np.complex64)[..., 0]
    values = np.stack([received.real, received.imag, csi.real, csi.imag]).astype(np.float64)
    for layer in range(4):
        weight, bias = (TRAINED.tensors[f"receiver.{layer}.{part}"][1] for part in ("weight", "bias"))
        values = weight.astype(np.float64) @ values + bias[:, None]
        values = np.maximum(values, 0) if layer < 3 else values
    decided = NeuralDemodulator(SCENARIO, 1.0, TRAINED).work(received, csi)["decided"]
    assert decided.dtype == np.uint8
    chosen = values[decided, np.arange(9000)]
    np.testing.assert_allclose(chosen, values.max(axis=0), rtol=1e-4, atol=1e-4)
    assert np.unique(decided).size > 1


def test_what_does_not_fit_warns_or_is_refused() -> None:
    with pytest.warns(ArtifactWarning, match="communication SNR"):
        NeuralDemodulator(SCENARIO.replace(snr_comm_db=10), 1.0, TRAINED)
    with pytest.raises(UserError, match="trained for ω_r 0, 1: choose"):
        NeuralDemodulator(SCENARIO, 0.3, TRAINED)


@pytest.mark.parametrize(("transport", "frame"), [("inproc", 1000), ("inproc", 16384), ("ipc", 5000)])
def test_the_link_counts_what_the_evaluation_counts(transport: str, frame: int) -> None:
    count, seed = 30_000, 9
    offers = {"rho": 1.0, "phi": 0.0, "artifact": TRAINED, "known_array": None}
    encoder, precoder, detector, demodulator = (
        build(kind, "neural", SCENARIO, offers) for kind in ("encoder", "precoder", "detector", "demodulator")
    )
    assert all("neural" in names for names in KINDS.values())
    graph = Flowgraph("neural", seed=seed, frame=frame)
    communication, sensing = blocks.CommunicationMetrics(SCENARIO), blocks.SensingMetrics(SCENARIO)
    graph.connect(blocks.MessageSource(SCENARIO, count), encoder, precoder)
    graph.connect(precoder, blocks.MisoChannel(SCENARIO), demodulator, communication)
    graph.connect(precoder, blocks.TargetReflector(SCENARIO), detector, sensing)
    results = graph.run(transport).results  # type: ignore[arg-type]
    counted = {**results["communication_metrics"]["counters"], **results["sensing_metrics"]["counters"]}
    expected = evaluate(
        SCENARIO, method="neural", rho=1.0, artifact=TRAINED, snapshots=count, seed=seed, theory=False
    )
    for key, counter in expected.tally.to_dict().items():
        assert counted[key] == pytest.approx(counter, rel=1e-12, abs=0), (
            key
        )  # the sums of floats alone may round
    assert counted["ser"]["trials"] == count
