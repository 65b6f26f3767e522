"""The fused pass in chunks; its gradients are compared with the plain form in test_dictionary.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from isac_models.learning import fused
from isac_models.learning.fused import FusedPass
from isac_models.learning.objective import Objective
from isac_models.learning.sensing_batch import Batch, Chunk, RecordedBatch, SimulatedBatch, initial_matrix
from isac_models.scenario import Scenario

SCENARIO = Scenario.preset("impaired").replace(antennas=6, grid_size=61)


def planes() -> np.ndarray:
    start = initial_matrix(SCENARIO, 1, 0.1)
    return np.stack([start.real, start.imag])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_chunks_add_up_to_the_batch(monkeypatch: pytest.MonkeyPatch, dtype: type) -> None:
    batch = SimulatedBatch(SCENARIO, 1, "training", 0, 1000)
    whole = FusedPass(SCENARIO, Objective(), dtype=dtype).loss_and_gradient(planes(), batch)
    monkeypatch.setattr(fused, "CHUNK", 77)
    parts = FusedPass(SCENARIO, Objective(), dtype=dtype).loss_and_gradient(planes(), batch)
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    assert parts[0] == pytest.approx(whole[0], rel=tolerance)
    assert np.linalg.norm(parts[1] - whole[1]) < tolerance * np.linalg.norm(whole[1])


def test_one_engine_takes_batches_of_any_size_and_kind_in_turn() -> None:
    engine = FusedPass(SCENARIO, Objective(), threads=2)
    random = np.random.default_rng(1)
    echo = random.normal(size=(30, 6)) + 1j * random.normal(size=(30, 6))
    batches: list[Batch] = [
        SimulatedBatch(SCENARIO, 1, "training", 0, 6000),
        RecordedBatch(echo, np.full(30, -0.5), (-0.7, -0.3), 61),
        SimulatedBatch(SCENARIO, 1, "training", 0, 10),
    ]
    for batch in batches:
        value, gradient = engine.loss_and_gradient(planes(), batch)
        fresh = FusedPass(SCENARIO, Objective()).loss_and_gradient(planes(), batch)
        assert value == fresh[0]
        assert np.array_equal(gradient, fresh[1])


def test_recorded_echoes_are_left_as_they_are() -> None:
    random = np.random.default_rng(1)
    echo = (random.normal(size=(30, 6)) + 1j * random.normal(size=(30, 6))).astype(np.complex64)
    before = echo.copy()
    batch = RecordedBatch(echo, np.full(30, -0.5, np.float32), (-0.7, -0.3), 61)
    FusedPass(SCENARIO, Objective()).loss_and_gradient(planes(), batch)
    assert np.array_equal(echo, before)


def test_the_threads_of_the_blas_are_given_back() -> None:
    def threads() -> list[int]:
        return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]

    before = threads()
    batch = SimulatedBatch(SCENARIO, 1, "training", 0, 10)
    FusedPass(SCENARIO, Objective()).loss_and_gradient(planes(), batch)
    assert threads() == before


def test_a_failing_chunk_raises_where_the_pass_was_called() -> None:
    class Broken(SimulatedBatch):
        def chunk(self, first: int, count: int, dtype: Any = np.float32) -> Chunk:
            if first:
                raise RuntimeError("no more draws")
            return super().chunk(first, count, np.float32)

    for threads in (1, 2):
        with pytest.raises(RuntimeError, match="no more draws"):
            FusedPass(SCENARIO, Objective(), threads).loss_and_gradient(
                planes(), Broken(SCENARIO, 1, "training", 0, 6000)
            )
