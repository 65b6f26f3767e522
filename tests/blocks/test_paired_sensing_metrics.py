"""Detectors compared on the same targets, alone on arrays and in a graph."""

from __future__ import annotations

import numpy as np
import pytest

from blocks import Detector, MessageSource, PairedSensingMetrics, Precoder, QamEncoder, TargetReflector
from blocks.runtime import Flowgraph, FlowgraphError, GraphError
from isac_models.errors import UserError
from isac_models.paired_sensing import PairedSensingTally
from isac_models.scenario import Scenario

SCENARIO = Scenario.preset("limited")
METHODS = ("plain", "better")
TRUTH = {
    "present": np.array([True, True, True, False, False, True, False, True]),
    "angle": np.array([-0.5, -0.6, -0.4, 0.0, 0.0, -0.5, 0.0, -0.6], np.float32),
}
FOUND = {
    "plain": {
        "detected": np.array([True, False, True, True, False, False, False, True]),
        "estimated_angle": np.array([-0.53, 9.0, -0.44, 9.0, 9.0, 9.0, 9.0, -0.6], np.float32),
    },
    "better": {
        "detected": np.array([True, True, True, False, False, False, False, False]),
        "estimated_angle": np.array([-0.5, 9.0, -0.41, 9.0, 9.0, 9.0, 9.0, 9.0], np.float32),
    },
}


def frame(first: int = 0, last: int = 8) -> dict[str, np.ndarray]:
    """The fields of both branches, some of their snapshots."""
    return {
        f"{method}_{key}": array[first:last]
        for method in METHODS
        for key, array in {**TRUTH, **FOUND[method]}.items()
    }


def test_errors_count_where_everyone_finds_the_target() -> None:
    metrics = PairedSensingMetrics(SCENARIO, METHODS)
    metrics.work(**frame(0, 3))
    metrics.work(**frame(3, 8))
    result = metrics.result()
    assert result["common"] == 2
    rmse = {name: each["common_rmse_rad"] for name, each in result["methods"].items()}
    assert rmse == pytest.approx(
        {"plain": np.sqrt((0.03**2 + 0.04**2) / 2), "better": np.sqrt(0.01**2 / 2)}, rel=1e-5
    )
    pair = result["pairs"]["better"]["plain"]
    assert pair["p_md_difference"] == pytest.approx(2 / 5 - 2 / 5)
    assert pair["rmse_rad_ratio"] == pytest.approx(rmse["better"] / rmse["plain"])


def test_runs_merge_and_a_second_run_counts_from_nothing() -> None:
    one, two, whole = (PairedSensingMetrics(SCENARIO, METHODS) for _ in range(3))
    one.work(**frame(0, 5))
    two.work(**frame(5, 8))
    one.merge(two.result())
    whole.work(**frame())
    assert one.result()["counters"]["pairs"][0]["misses"] == whole.result()["counters"]["pairs"][0]["misses"]
    assert one.result()["common"] == whole.result()["common"]
    whole.start()
    assert whole.tally == PairedSensingTally.empty(SCENARIO, METHODS)


@pytest.mark.parametrize("key", ["present", "angle"])
def test_targets_that_differ_are_refused(key: str) -> None:
    fields = frame()
    fields[f"better_{key}"] = fields[f"better_{key}"][::-1]
    with pytest.raises(ValueError, match="targets of branch better are not those of branch plain: give"):
        PairedSensingMetrics(SCENARIO, METHODS).work(**fields)


@pytest.mark.parametrize("methods", [(), ("one",), ("one", "one")])
def test_two_methods_are_the_least(methods: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match="paired_sensing_metrics compares at least two methods"):
        PairedSensingMetrics(SCENARIO, methods)


def compared(key: str | None, estimators: tuple[str, str] = ("argmax", "softmax")) -> Flowgraph:
    """Two links that differ in how the angle is read, with reflectors of that stream key."""
    graph = Flowgraph("compared", seed=5, frame=2000)
    encoder = QamEncoder(SCENARIO)
    graph.connect(MessageSource(SCENARIO, 10_000), encoder)
    detectors = {}
    for method, estimator in zip(METHODS, estimators, strict=True):
        detectors[method] = Detector(SCENARIO, estimator, name=f"detector_{method}")  # type: ignore[arg-type]
        graph.connect(
            encoder,
            Precoder(SCENARIO, rho=1.0, name=f"precoder_{method}"),
            TargetReflector(SCENARIO, name=f"reflector_{method}", stream_key=key),
            detectors[method],
        )
    graph.join(PairedSensingMetrics(SCENARIO, METHODS), **detectors)
    return graph


def test_a_graph_shares_the_draws_through_the_stream_key() -> None:
    result = compared("reflector").run("ipc").results["paired_sensing_metrics"]
    pair = result["pairs"]["better"]["plain"]
    # The decision is the same, the reading of the angle is not.
    assert pair["p_md_difference"] == 0
    assert pair["rmse_rad_difference"] != 0
    assert 4000 < pair["common"] == result["common"] < 5000
    with pytest.raises(FlowgraphError, match=r"failed at frame 0: ValueError: the targets of branch better"):
        compared(None).run()


def test_a_branch_that_is_not_joined_is_missed() -> None:
    graph = compared("reflector")
    metrics = PairedSensingMetrics(SCENARIO, (*METHODS, "best"), name="three")
    with pytest.raises(GraphError, match="three needs the field 'best_present'"):
        graph.join(metrics, plain=graph.blocks["detector_plain"], better=graph.blocks["detector_better"])
