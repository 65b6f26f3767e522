"""Methods on the same noise: the counts of each alone, and those of the pair, computed another way."""

from __future__ import annotations

import json
import math
import tracemalloc
from typing import Any

import numpy as np
import pytest

from isac_models.constellation import Constellation
from isac_models.draws import SnapshotRandom
from isac_models.errors import UserError
from isac_models.methods import System, build_system
from isac_models.monte_carlo import BATCH, CHUNK, MESSAGE_STREAM, evaluate
from isac_models.paired import PairedLinks, PairedTally, evaluate_paired
from isac_models.propagation import CHANNEL_STREAM, TARGET_STREAM, MisoModel, TargetModel, precode
from isac_models.scenario import Scenario
from tests.isac_models.artifacts import model_driven

SCENARIO = Scenario.preset("limited").replace(spacing_std=0.08)


def systems(scenario: Scenario = SCENARIO, rho: float = 0.4) -> dict[str, System]:
    """Three methods that differ."""
    return {
        "baseline": build_system(scenario, rho=rho),
        "known": build_system(scenario, rho=rho, known_array=True),
        "learned": build_system(scenario, "learned", rho=rho, artifact=model_driven(scenario)),
    }


def in_one_go(system: System, count: int, seed: int) -> dict[str, Any]:
    """What becomes of the first snapshots, without any of the evaluation's machinery."""
    qam = Constellation(SCENARIO.order)
    message = SnapshotRandom(seed, MESSAGE_STREAM).integers(0, 0, count, SCENARIO.order)
    sent = precode(qam.encode(message), system.beam.astype(np.complex64))
    echo, target = TargetModel(SCENARIO).observe(sent, SnapshotRandom(seed, TARGET_STREAM), 0)
    found = system.detector.detect(echo)
    random = SnapshotRandom(seed, CHANNEL_STREAM)
    decided = qam.decide(*MisoModel(SCENARIO).observe(sent, qam.encode(message), random, 0))
    return {
        "wrong": decided != message,
        "present": target.present,
        "detected": found.detected,
        "error": found.angle.astype(float) - target.angle,
    }


def test_pairs_are_those_of_arrays_compared_snapshot_by_snapshot() -> None:
    count = 2 * BATCH + 100
    found = evaluate_paired(SCENARIO, systems(), count, seed=4)
    arrays = {name: in_one_go(system, count, 4) for name, system in systems().items()}
    assert found.snapshots == count
    for first, second in (("baseline", "known"), ("learned", "baseline"), ("known", "learned")):
        one, two, pair = arrays[first], arrays[second], found.pair(first, second)
        present = one["present"]
        missed = [present & ~each["detected"] for each in (one, two)]
        rate = pair.p_md
        assert (rate.first, rate.second, rate.trials) == (missed[0].sum(), missed[1].sum(), present.sum())
        assert rate.both == (missed[0] & missed[1]).sum()
        assert pair.p_fa.both == (~present & one["detected"] & two["detected"]).sum()
        assert pair.ser.both == (one["wrong"] & two["wrong"]).sum()
        hit = present & one["detected"] & two["detected"]
        assert pair.rmse_rad.count == hit.sum()
        ratio = np.sqrt(np.mean(one["error"][hit] ** 2) / np.mean(two["error"][hit] ** 2))
        assert pair.rmse_rad.ratio().value == pytest.approx(ratio, rel=1e-6)
        assert pair.rmse_rad.cross == pytest.approx(
            np.sum(one["error"][hit] ** 2 * two["error"][hit] ** 2), rel=1e-6
        )


def test_each_method_counts_as_it_does_alone() -> None:
    found = evaluate_paired(SCENARIO, systems(), 3 * BATCH, seed=2)
    alone = evaluate(SCENARIO, rho=0.4, snapshots=3 * BATCH, seed=2, theory=False)
    assert found.tally.methods["baseline"].to_dict() == alone.tally.to_dict()
    known = evaluate(
        SCENARIO, rho=0.4, snapshots=3 * BATCH, seed=2, theory=False, known_array=True, estimator="softmax"
    )
    assert found.tally.methods["learned"].to_dict() == known.tally.to_dict()


def test_methods_that_decide_alike_differ_in_nothing() -> None:
    scenario = Scenario.preset("ideal")
    same = {name: build_system(scenario, known_array=known) for name, known in (("a", False), ("b", True))}
    pair = evaluate_paired(scenario, same, BATCH).pair("a", "b")
    assert pair.p_md.first == pair.p_md.second == pair.p_md.both > 0
    assert pair.rmse_rad.ratio().value == 1
    assert pair.p_md.ratio().value == 1


def test_pairing_tells_what_two_separate_runs_cannot() -> None:
    scenario = Scenario.preset("impaired")
    found = evaluate_paired(scenario, systems(scenario, 1.0), 200_000)
    paired = found.pair("baseline", "known").p_md.ratio()
    assert paired.low > 1
    one, two = (found.tally.methods[name].sensing.p_md for name in ("baseline", "known"))
    separate = math.hypot(*(math.sqrt((1 - each.rate) / each.events) for each in (one, two)))
    assert paired.error / paired.value < 0.6 * separate


def test_a_system_of_another_grid_takes_part() -> None:
    coarse = build_system(SCENARIO, rho=1.0, known_array=True)
    fine = build_system(SCENARIO.replace(grid_size=500), rho=1.0, known_array=True)
    pair = evaluate_paired(SCENARIO, {"coarse": coarse, "fine": fine}, 10 * BATCH).pair("fine", "coarse")
    assert pair.rmse_rad.ratio().high < 1


def integers(tally: PairedTally) -> dict[str, Any]:
    """Every whole-numbered count."""
    counts: dict[str, Any] = {name: each.sensing.p_md.events for name, each in tally.methods.items()}
    for names, pair in tally.pairs.items():
        counts[str(names)] = (pair.ser, pair.p_md, pair.p_fa, pair.rmse_rad.count)
    return counts


@pytest.mark.parametrize("coherence", [1, 6])
def test_counts_do_not_depend_on_the_cut(coherence: int) -> None:
    scenario = SCENARIO.replace(coherence=coherence)
    links = PairedLinks(scenario, systems(scenario), 5)
    whole = links.measure(0, 2 * BATCH)
    total = PairedTally.empty(scenario, list(systems(scenario)))
    for start, end in ((0, 1), (1, 1000), (1000, BATCH + 17), (BATCH + 17, 2 * BATCH)):
        total = total.merge(links.measure(start, end - start))
    assert integers(total) == integers(whole)
    assert whole.pairs["baseline", "known"].p_md.coherence == coherence


def test_counts_do_not_depend_on_the_workers() -> None:
    one, two = (evaluate_paired(SCENARIO, systems(), CHUNK + 5, workers=n) for n in (1, 2))
    assert one.to_dict()["pairs"] == two.to_dict()["pairs"]
    assert one.to_dict()["methods"] == two.to_dict()["methods"]


def test_memory_does_not_grow_with_the_snapshots() -> None:
    links = PairedLinks(SCENARIO, systems(), 1)
    links.measure(0, BATCH)
    peaks = []
    for batches in (2, 12):
        tracemalloc.start()
        links.measure(0, batches * BATCH)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]


def test_an_interrupted_run_keeps_what_it_measured() -> None:
    def stop(tally: PairedTally, seconds: float) -> None:
        raise KeyboardInterrupt

    found = evaluate_paired(SCENARIO, systems(), 100 * CHUNK, progress=stop)
    assert found.interrupted
    assert found.snapshots == CHUNK


def test_the_result_is_complete_and_fit_for_json() -> None:
    values = evaluate_paired(SCENARIO, systems(), 20_000).to_dict()
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    assert (values["snapshots"], values["seed"], values["interrupted"]) == (20_000, 1, False)
    assert values["methods"]["learned"]["artifact"]["kind"] == "model-driven"
    assert values["methods"]["baseline"]["estimator"] == "argmax"
    for first, second in (("baseline", "learned"), ("learned", "baseline")):
        pair = values["pairs"][first][second]
        for key in ("ser_ratio", "p_md_ratio", "p_fa_difference", "rmse_rad_ratio", "common_rmse_rad"):
            assert pair[f"{key}_low"] < pair[key] < pair[f"{key}_high"]
    there, back = values["pairs"]["baseline"]["learned"], values["pairs"]["learned"]["baseline"]
    assert there["p_md_ratio"] == pytest.approx(1 / back["p_md_ratio"])
    assert there["common_rmse_rad"] / back["common_rmse_rad"] == pytest.approx(there["rmse_rad_ratio"])
    short = evaluate_paired(SCENARIO, systems(), 1).to_dict()
    json.dumps(short, allow_nan=False)


def test_impossible_requests_are_refused() -> None:
    other = build_system(SCENARIO.replace(antennas=8))
    for given, more, reason in (
        ({}, {}, "at least one system"),
        (systems(), {"snapshots": 0}, "snapshots"),
        (systems(), {"workers": 0}, "workers"),
        (systems(), {"seed": -1}, "seed"),
        ({"other": other}, {}, "other: a beam of 8 elements for 16 antennas"),
    ):
        with pytest.raises(UserError, match=reason):
            evaluate_paired(SCENARIO, given, **more)  # type: ignore[arg-type]
    with pytest.raises(KeyError):
        evaluate_paired(SCENARIO, systems(), 1).pair("baseline", "nobody")
