"""Command line of isac_hil.py: options and their checks."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from isac_link_options import add_output_options, checked, live_line, run_program
from isac_models.errors import UserError
from isac_models.options import Parser, add_scenario_options, count, number, scenario_from, whole
from isac_models.waveform import CORRECTIONS
from link_design import add_design_options

__all__ = ["live_line", "parse_arguments", "run_program"]

DESCRIPTION = """\
Send messages over the air: the graph of isac_link.py with a radio in place of channel and target. Without
--device a virtual front end is started, a program of its own that shares no code with the link and speaks
the radio's protocol: protocol in the loop, no RF hardware."""

EXAMPLES = """\
examples:
  isac_hil.py --radio zmq --file picture.png --out received.png
  isac_hil.py --radio soapy --precoder learned --bursts 2000
  isac_hil.py --radio iio --front-end=--clock-ppm=10 --front-end=--ue-delay=12.5
  isac_hil.py --radio sim --without leakage
  isac_hil.py --radio iio --device ip:192.168.2.1 --calibration lab.json

exit status: 0 done, 1 a block failed, the file is not intact or the front end was started again,
2 bad input, 130 stopped by Ctrl-C"""

RADIOS = ("sim", "zmq", "soapy", "iio", "uhd")
RANDOM_BURSTS = 500


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The options, checked, with the scenario they make as `scenario`. Exits with status 2 on bad ones."""
    parser = Parser(
        prog="isac_hil.py",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_scenario_options(parser)
    add_design_options(parser)
    radio = parser.add_argument_group("radio")
    radio.add_argument("--radio", choices=RADIOS, default="zmq", help="which backend (default: %(default)s)")
    radio.add_argument(
        "--device", metavar="ADDRESS", help="an own device or front end (default: start a virtual front end)"
    )
    radio.add_argument("--rate", type=number, metavar="HZ", help="samples a second (default: the device's)")
    radio.add_argument("--frequency", type=number, metavar="HZ", help="carrier (default: the device's)")
    radio.add_argument("--gain", type=number, metavar="DB", help="of every channel (default: the device's)")
    radio.add_argument(
        "--front-end-seed",
        type=whole,
        default=1,
        metavar="N",
        help="what the virtual front end draws its errors, delays, fading and noise from (default: 1)",
    )
    radio.add_argument(
        "--front-end",
        action="append",
        default=[],
        metavar="OPTION",
        help="an option for the virtual front end, such as --front-end=--clock-ppm=10; may be repeated",
    )
    radio.add_argument(
        "--calibration",
        metavar="FILE.json",
        help="use the array calibration in this file if it is for this device as it is set, else measure one "
        "and keep it there (default: measure one, keep nothing)",
    )
    radio.add_argument("--clock-source", metavar="NAME", help="reference clock: internal, external, …")
    radio.add_argument("--time-source", metavar="NAME", help="what time is counted by: internal, external, …")
    radio.add_argument(
        "--phase-coherent",
        action="store_true",
        help="the device's channels share clock and oscillators, although it cannot tell",
    )
    radio.add_argument(
        "--same-session",
        action="store_true",
        help="with --device: it was neither started again nor retuned since --calibration was measured",
    )
    radio.add_argument(
        "--calibrate",
        action="store_true",
        help="measure the calibration now, write it to --calibration FILE.json and leave; a reflector "
        "stands at boresight, and nothing else as strong",
    )
    radio.add_argument(
        "--without",
        action="append",
        choices=CORRECTIONS,
        default=[],
        help="leave a correction out, to see what it is worth; may be repeated",
    )
    what = parser.add_argument_group("what is sent")
    what.add_argument(
        "--file", metavar="IN", help="send this file whole: Reed-Solomon, and repeats on request"
    )
    what.add_argument("--out", metavar="OUT", help="write what is received here")
    what.add_argument(
        "--bursts",
        type=count,
        metavar="N",
        help=f"bursts of random messages without a file (default: {RANDOM_BURSTS})",
    )
    run = parser.add_argument_group("run")
    run.add_argument("--seed", type=whole, default=1, metavar="N", help="of the messages (default: 1)")
    output = add_output_options(parser)
    output.add_argument(
        "--record",
        metavar="X.sigmf-meta",
        help="record the calibrated echo of every snapshot with bursts, detections and truth; isac_replay.py "
        "takes it through any detector",
    )
    output.add_argument(
        "--record-samples",
        metavar="Y.sigmf-meta",
        help="record the samples of all channels as they come; isac_replay.py takes them through the whole "
        "receive chain",
    )
    return checked(parser, argv, _check)


def _check(options: argparse.Namespace) -> None:
    options.scenario = scenario_from(options)
    if options.coherence is not None:
        raise UserError("--coherence: a burst is one coherence block, its payload says how long that is")
    if options.file is None and options.out is not None:
        raise UserError("--out needs --file: random messages are no file")
    if options.calibrate and (options.calibration is None or "calibration" in options.without):
        raise UserError("--calibrate needs --calibration FILE.json, to write to")
    if options.file is not None and options.bursts is not None:
        raise UserError("--file and --bursts: a file takes as many bursts as it needs")
    if options.device is not None and options.radio == "sim":
        raise UserError("--device: the simulated radio has none; choose another --radio")
    if options.calibration is not None and not Path(options.calibration).parent.is_dir():
        folder = Path(options.calibration).parent
        raise UserError(f"--calibration {options.calibration}: the directory {folder} does not exist")
    if options.device is not None and options.front_end:
        raise UserError("--front-end is for the virtual front end, which --device stands in for")
    for name in ("record", "record_samples"):
        path = getattr(options, name)
        if path is not None and not path.endswith(".sigmf-meta"):
            raise UserError(f"--{name.replace('_', '-')} {path}: the name must end in .sigmf-meta")
    if options.record is not None and options.record_samples is not None:
        _refuse_one_in_the_other(options.record, options.record_samples)
    if not 0 <= options.seed < 1 << 63:
        raise UserError(f"--seed {options.seed}: must be from 0 to {(1 << 63) - 1}")
    if options.file is None and options.bursts is None:
        options.bursts = RANDOM_BURSTS
    options.snapshots = None


def _refuse_one_in_the_other(echoes: str, samples: str) -> None:
    """Raise UserError where two recordings share a file; the truth beside the echoes has files of its own."""
    from blocks.runtime.sigmf_meta import files_of  # only now: --help answers at once

    theirs = {os.path.realpath(file) for file in files_of(samples)}
    for file in files_of(echoes):
        if os.path.realpath(file) in theirs:
            raise UserError(f"--record and --record-samples name the same file, {file}: choose other names")
