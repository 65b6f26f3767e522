"""Replay a recording of the link's radar echoes through any detector.

python flowgraphs/isac_link.py --snapshots 1e6 --record echoes.rec
python flowgraphs/isac_replay.py echoes.rec --false-alarm 1e-3 --estimator softmax
python flowgraphs/isac_replay.py antennas.sigmf-meta --scenario array.toml

The samples of a radio, which isac_hil.py --record-samples has written, go through both of its receivers
(hil_replay.py).
"""

import sys

import interrupts  # noqa: F401 - first: Ctrl-C may come while the rest loads
from isac_link_options import live_line, run_program
from isac_replay_options import build_detector, parse_arguments, recorded_scenario


def main() -> int:
    """Build the graph that the options ask for, run it, show what it measured."""
    options = parse_arguments()

    import blocks  # only now: --help and a mistyped option answer at once
    from blocks.runtime import Flowgraph
    from link_recording import open_player, stale
    from link_results import show_replay

    player = open_player(options)
    if isinstance(player, blocks.RadioPlayer):
        from hil_replay import replay_radio

        return replay_radio(options, player)
    scenario = recorded_scenario(options, player)
    detector = build_detector(options, player.about, scenario)

    graph = Flowgraph("isac-replay", frame=options.frame)
    known = all(field in player.produces for field in ("present", "angle")) and not stale(player)
    graph.connect(player, detector, blocks.SensingMetrics(scenario) if known else blocks.DetectionCounter())

    options.snapshots = player.recording.snapshots
    with live_line(options) as line:
        report = graph.run(options.transport, on_status=line.update)
    return show_replay(options, report, scenario, player, detector)


if __name__ == "__main__":
    sys.exit(run_program(main))
