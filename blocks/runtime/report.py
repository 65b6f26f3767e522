"""What a run has done: counters of every block, and the results that blocks report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from isac_models.errors import UserError


class FlowgraphError(RuntimeError):
    """A run that failed: one line naming the block, the frame and the cause."""

    def __init__(self, message: str, traceback: str = "", report: Report | None = None) -> None:
        super().__init__(message)
        self.traceback = traceback
        self.report = report


class DeploymentError(UserError):
    """A deployment file that cannot be used, or a host that cannot be reached as it says."""


@dataclass
class BlockReport:
    """Counters of one block; those of its replicas added up. Times are seconds.

    `snapshots` are those that came in (of a source: went out). `lost_on` of a join: the lost frames of
    each branch that lost any. `messages_published` counts a message once for every reader;
    `messages_dropped` those of them that a reader had not taken when its stream ended.
    """

    frames: int = 0
    snapshots: int = 0
    busy_seconds: float = 0.0
    waiting_seconds: float = 0.0
    lost_frames: int = 0
    repeated_frames: int = 0
    malformed: int = 0
    lost_on: dict[str, int] = field(default_factory=dict)
    messages_published: int = 0
    messages_received: int = 0
    messages_dropped: int = 0

    def add(self, other: BlockReport) -> None:
        """Add the counters of another replica."""
        for item in fields(self):
            if item.name != "lost_on":
                setattr(self, item.name, getattr(self, item.name) + getattr(other, item.name))
        for branch, lost in other.lost_on.items():
            self.lost_on[branch] = self.lost_on.get(branch, 0) + lost


@dataclass
class Report:
    """A run so far, or as it ended.

    `snapshots` counts what the slowest sink has taken; `interrupted` is True when the run was
    stopped before the stream ended; `results` holds each block's `result()`; `malformed_control`
    counts the messages to the supervisor that were dropped.
    """

    graph: str
    seconds: float = 0.0
    snapshots: int = 0
    interrupted: bool = False
    blocks: dict[str, BlockReport] = field(default_factory=dict)
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    malformed_control: int = 0

    @property
    def snapshots_per_second(self) -> float:
        """Snapshots through the whole graph per second of wall time."""
        return self.snapshots / self.seconds if self.seconds > 0 else 0.0

    @property
    def lost_frames(self) -> int:
        """Frames missing at any input, by sequence number."""
        return sum(block.lost_frames for block in self.blocks.values())

    @property
    def repeated_frames(self) -> int:
        """Frames that arrived more than once at any input (each worked on once)."""
        return sum(block.repeated_frames for block in self.blocks.values())

    @property
    def malformed(self) -> int:
        """Messages on edges and the control channel that broke the wire format; dropped."""
        return self.malformed_control + sum(block.malformed for block in self.blocks.values())

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        totals = {name: getattr(self, name) for name in ("lost_frames", "repeated_frames", "malformed")}
        return {**asdict(self), **totals, "snapshots_per_second": self.snapshots_per_second}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Report:
        """The report that `to_dict` described."""
        names = {item.name for item in fields(cls)} - {"blocks"}
        known = {name: value for name, value in values.items() if name in names}
        return cls(**known, blocks={name: BlockReport(**block) for name, block in values["blocks"].items()})


def summarise(
    graph: str,
    seconds: float,
    interrupted: bool,
    order: Iterable[str],
    sinks: Iterable[str],
    states: Mapping[str, Mapping[str, Any]],
) -> Report:
    """A Report from the states of all block instances (``name`` or ``name#replica``)."""
    report = Report(graph, seconds, interrupted=interrupted, blocks={name: BlockReport() for name in order})
    for instance, state in states.items():
        name = instance.partition("#")[0]
        report.blocks[name].add(BlockReport(**state["counters"]))
        if state.get("result") is not None:
            report.results[name] = state["result"]
    report.snapshots = min((report.blocks[name].snapshots for name in sinks), default=0)
    return report
