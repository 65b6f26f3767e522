"""The streaming runtime: frames, ports, ZeroMQ pipes, processes."""

from blocks.runtime.block import Block, Source
from blocks.runtime.flowgraph import Flowgraph
from blocks.runtime.port import Count, Field, Flags, GraphError, Real, Signal, Symbols
from blocks.runtime.report import BlockReport, DeploymentError, FlowgraphError, Report

__all__ = [
    "Block",
    "BlockReport",
    "Count",
    "DeploymentError",
    "Field",
    "Flags",
    "Flowgraph",
    "FlowgraphError",
    "GraphError",
    "Real",
    "Report",
    "Signal",
    "Source",
    "Symbols",
]
