"""The report of a run: sums over replicas, totals, and the way to JSON and back."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from blocks.runtime.report import BlockReport, DeploymentError, FlowgraphError, Report, summarise
from isac_models.errors import UserError


def state(result: dict[str, Any] | None = None, **counters: float) -> dict[str, Any]:
    """The state of a block's instance as its node tells it."""
    return {"counters": asdict(BlockReport(**counters)), "result": result}  # type: ignore[arg-type]


def summary() -> Report:
    """Of a source, a block with two replicas and two sinks."""
    states = {
        "source": state(frames=4, snapshots=40, busy_seconds=0.5, messages_received=3),
        "slow#0": state(frames=2, snapshots=20, lost_frames=1, malformed=1),
        "slow#1": state(frames=2, snapshots=20, lost_frames=2, repeated_frames=3),
        "fast_sink": state({"ser": 0.5}, frames=4, snapshots=40),
        "late_sink": state(frames=1, snapshots=10, waiting_seconds=0.25, malformed=4),
    }
    order = ["source", "slow", "fast_sink", "late_sink", "silent"]
    return summarise("link", 2.0, True, order, ["fast_sink", "late_sink"], states)


def test_replicas_are_added_up() -> None:
    report = summary()
    assert list(report.blocks) == ["source", "slow", "fast_sink", "late_sink", "silent"]
    assert report.blocks["slow"] == BlockReport(4, 40, 0, 0, 3, 3, 1)
    assert report.blocks["silent"] == BlockReport()
    assert report.blocks["source"].messages_received == 3


def test_totals() -> None:
    report = summary()
    assert (report.lost_frames, report.repeated_frames, report.malformed) == (3, 3, 5)
    assert report.snapshots == 10, "the slowest sink counts"
    assert report.snapshots_per_second == 5.0
    assert report.interrupted
    assert report.results == {"fast_sink": {"ser": 0.5}}


def test_nothing_has_run() -> None:
    report = Report("link")
    assert report.snapshots_per_second == 0.0
    assert summarise("link", 0.0, False, [], [], {}) == report


def test_a_report_survives_json() -> None:
    report = summary()
    report.malformed_control = 2
    values = json.loads(json.dumps(report.to_dict()))
    assert values["lost_frames"] == 3
    assert values["malformed"] == 7
    assert values["snapshots_per_second"] == 5.0
    assert values["blocks"]["slow"]["repeated_frames"] == 3
    assert Report.from_dict(values) == report


def test_errors_tell_who_can_mend_them() -> None:
    error = FlowgraphError("block b failed: no", "trace", Report("link"))
    assert str(error) == "block b failed: no"
    assert (error.traceback, error.report) == ("trace", Report("link"))
    assert not isinstance(error, UserError)
    assert issubclass(DeploymentError, UserError)


def test_the_branches_that_lost_frames_are_named_and_added_up() -> None:
    report = BlockReport(lost_frames=1, lost_on={"left": 1})
    report.add(BlockReport(lost_frames=3, lost_on={"left": 1, "right": 2}))
    assert (report.lost_frames, report.lost_on) == (4, {"left": 2, "right": 2})
    again = Report.from_dict(Report("g", blocks={"joint": report}).to_dict())
    assert again.blocks["joint"] == report
