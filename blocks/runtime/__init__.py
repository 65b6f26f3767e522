"""The streaming runtime: frames, ports, ZeroMQ pipes, processes."""

from blocks.runtime.block import Block, Source
from blocks.runtime.port import Count, Field, Flags, GraphError, Real, Signal, Symbols

__all__ = ["Block", "Count", "Field", "Flags", "GraphError", "Real", "Signal", "Source", "Symbols"]
