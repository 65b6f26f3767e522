"""Three links in one graph: isac_link.py --compare.

                           ┌ Precoder of baseline     ┬ MisoChannel ─ Demodulator ┬ CommunicationMetrics
                           │                          │                           └ MessageSink (with --file)
MessageSource ─ QamEncoder ┤ LearnedPrecoder          ┤ …
                           │                          │
                           └ Precoder of known array  └ TargetReflector ─ Detector ┬ SensingMetrics
                                                                                   └ PairedSensingMetrics

Every method has channels of its own, since its beam is. They share their stream keys, and so every draw:
targets, fading and noise are the same. PairedSensingMetrics joins the three detectors.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from typing import Any

import blocks
from blocks.runtime import Flowgraph, Report
from compare_options import METHODS
from isac_link_options import live_line, replicate
from isac_models.artifact import warnings_as_lines
from isac_models.methods import RHO
from link_design import artifact_of


@dataclass(frozen=True)
class Method:
    """What sets a method apart: how the beam is made, and how echoes are read."""

    precoder: Any
    detector: Any


def compare(options: argparse.Namespace) -> int:
    """Build the graph, run it, show what it measured; returns the exit status."""
    from compare_results import show_comparison

    methods = build_methods(options)
    graph = build_graph(options, methods)
    replicate(graph, options.replicas)
    with live_line(options) as line:

        def progress(report: Report) -> None:
            line.update(replace(report, results={}))  # the line has room for one method's rates

        report = graph.run(options.transport, progress, options.nodes, options.node)
    return show_comparison(options, report, methods)


def build_methods(options: argparse.Namespace) -> dict[str, Method]:
    """The blocks in which the methods differ. Known array reads the angle as learned does."""
    options.rho = RHO if options.rho is None else options.rho
    scenario, beam, artifact = options.scenario, (options.rho, options.phi), artifact_of(options)
    precoder, detector = ([f"{kind}_{method}" for method in METHODS] for kind in ("precoder", "detector"))
    with warnings_as_lines():
        return {
            "baseline": Method(
                blocks.Precoder(scenario, *beam, name=precoder[0]),
                blocks.Detector(scenario, "argmax", name=detector[0]),
            ),
            "learned": Method(
                blocks.LearnedPrecoder(scenario, *beam, artifact, name=precoder[1]),
                blocks.LearnedDetector(scenario, "softmax", artifact, name=detector[1]),
            ),
            "known_array": Method(
                blocks.Precoder(scenario, *beam, known_array=True, name=precoder[2]),
                blocks.Detector(scenario, "softmax", known_array=True, name=detector[2]),
            ),
        }


def build_graph(options: argparse.Namespace, methods: dict[str, Method]) -> Flowgraph:
    """One source and encoder, a link for each method, and the comparison of their detectors."""
    scenario = options.scenario
    graph = Flowgraph("isac-compare", seed=options.seed, frame=options.frame)
    source, encoder = blocks.MessageSource(scenario, *options.sent), blocks.QamEncoder(scenario)
    graph.connect(source, encoder)
    for name, method in methods.items():
        channel = blocks.MisoChannel(scenario, f"miso_channel_{name}", stream_key="miso_channel")
        reflector = blocks.TargetReflector(scenario, f"target_reflector_{name}", "target_reflector")
        demodulator = blocks.Demodulator(scenario, f"demodulator_{name}")
        communication = blocks.CommunicationMetrics(scenario, f"communication_metrics_{name}")
        sensing = blocks.SensingMetrics(scenario, f"sensing_metrics_{name}")
        graph.connect(encoder, method.precoder, channel, demodulator, communication)
        graph.connect(method.precoder, reflector, method.detector, sensing)
        if options.file:
            preview = options.plot is not None
            sink = blocks.MessageSink(scenario, options.outs[name], preview, f"message_sink_{name}")
            graph.connect(demodulator, sink)
    detectors = {name: method.detector for name, method in methods.items()}
    return graph.join(blocks.PairedSensingMetrics(scenario, list(methods)), **detectors)
