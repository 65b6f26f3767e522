"""The options of the trainer. Light: nothing that takes long to load is needed for --help."""

from __future__ import annotations

import argparse
from argparse import BooleanOptionalAction
from collections.abc import Sequence
from typing import Any

from isac_models.options import Parser, add_scenario_options, count, not_blank, number, whole

DESCRIPTION = """\
Train a model offline, for the blocks of the link to load at run time.

  model-driven   the matrix A, K antennas × N grid angles, that transmitter and receiver share: it begins as
                 the nominal steering vectors and learns what the impaired array does (Sec. IV-B of the paper)
  neural         the five networks of the neural baseline (Sec. IV-A, Table I), one set for each weight ω_r of
                 sensing against communication

Each has options of its own: python -m isac_models.train model-driven --help."""

EXAMPLES = """\
examples:
  python -m isac_models.train model-driven --scenario impaired --out out/learned
  python -m isac_models.train neural --scenario limited --hidden 21 --omega all --out out/neural
  python -m isac_models.train model-driven --resume out/learned
  tensorboard --logdir out

Into the folder go artifact.safetensors, which --artifact of the other programs takes, a checkpoint, and
event files for TensorBoard. Ctrl-C saves and says how to go on. Exit status: 0 done, 130 stopped, 1 failed
on the way, 2 bad input."""

ABOUT = {
    "model-driven": "train the matrix A that transmitter and receiver share",
    "neural": "train the five networks of the neural baseline",
}


LARGEST_BATCH = 10_000_000
"""What every task can hold; more snapshots are more iterations."""


class Unset(str):
    """The default of an option whose presence matters."""

    __slots__ = ()


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options; exits with status 2 and one line on bad ones.

    `named` maps each setting of the training to its option.
    """
    parser = Parser(
        prog="python -m isac_models.train",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="model-driven|neural")
    for kind, about in ABOUT.items():
        one = kinds.add_parser(kind, help=about, description=f"{about[0].upper()}{about[1:]}.")
        where = one.add_argument_group("where")
        where.add_argument(
            "--out", type=not_blank, metavar="DIR", help="folder of this training, made if need be"
        )
        where.add_argument(
            "--resume",
            type=not_blank,
            metavar="DIR",
            help="continue the training in this folder, with its settings",
        )
        add_scenario_options(one)
        one.set_defaults(scenario=Unset("impaired"))
        training = one.add_argument_group("training")
        (_add_model_driven if kind == "model-driven" else _add_neural)(training)
        named = {action.dest: action.option_strings[0] for action in training._group_actions}
        one.set_defaults(named=named)
        _add_run(one.add_argument_group("run"), patience="patience" not in named)
    options = parser.parse_args(arguments)
    if (options.out is None) == (options.resume is None):
        parser.error("give --out DIR for a new training, or --resume DIR to continue one")
    if options.checkpoint_every < 0:
        parser.error(
            f"argument --checkpoint-every: it must be 0 or more seconds, not {options.checkpoint_every:g}"
        )
    if options.kind == "neural" and options.omega is not None and "all" in options.omega:
        if len(options.omega) > 1:
            parser.error("argument --omega: all stands alone")
        options.omega = "all"
    return options


def given(options: argparse.Namespace) -> dict[str, Any]:
    """The settings that were asked for."""
    return {key: value for key in options.named if (value := getattr(options, key)) is not None}


def snapshots(text: str) -> int:
    """A positive whole number of snapshots that fit into memory.

    Raises argparse.ArgumentTypeError for anything else.
    """
    value = count(text)
    if value > LARGEST_BATCH:
        raise argparse.ArgumentTypeError(f"{text!r} is more than {LARGEST_BATCH}")
    return value


def weight(text: str) -> float | str:
    """A weight ω_r from 0 to 1, or "all".

    Raises argparse.ArgumentTypeError for anything else.
    """
    if text == "all":
        return text
    value = number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number from 0 to 1 nor all")
    return value


def _add_settings(group: Any, recipe: str) -> None:
    group.add_argument("--recipe", metavar="NAME", help=recipe)
    group.add_argument(
        "--batch", type=snapshots, metavar="N", help="snapshots of an iteration (default: 10000)"
    )
    group.add_argument("--seed", type=whole, metavar="N", help="of the start and of every draw (default: 1)")
    group.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        metavar="auto|cpu|cuda",
        help="where it is computed; auto takes a GPU if there is one (default: auto)",
    )
    group.add_argument(
        "--threads", type=count, metavar="N", help="on the CPU (default: one for each processor)"
    )


def _add_model_driven(group: Any) -> None:
    group.add_argument("--iterations", type=count, metavar="N", help="steps of Adam (default: 50000)")
    _add_settings(
        group,
        "paper: the angle error at a constant rate; cosine: a higher rate that falls to 0; "
        "joint: as cosine, on wider sectors, and missed targets cost as well (default: paper)",
    )
    group.add_argument(
        "--lr",
        dest="learning_rate",
        type=number,
        metavar="R",
        help="learning rate of Adam, where it begins (default: the recipe's, 1e-3 for paper)",
    )
    group.add_argument(
        "--initial-variance",
        type=number,
        metavar="V",
        help="variance of the noise on A at the start (default: 0.1; 0 for joint and on recordings)",
    )
    group.add_argument(
        "--from-recording",
        nargs="+",
        metavar="FILE",
        help="train the receiver on the labelled echoes of recordings instead of the simulator",
    )


def _add_neural(group: Any) -> None:
    group.add_argument(
        "--iterations",
        type=count,
        metavar="N",
        help="steps of Adam for (11), and as many for (12) (default: 50000)",
    )
    _add_settings(group, "paper: the two steps of Sec. IV-A at a constant rate (default: paper)")
    group.add_argument(
        "--lr",
        dest="learning_rate",
        type=number,
        metavar="R",
        help="learning rate of Adam (default: 1e-3)",
    )
    group.add_argument(
        "--hidden",
        type=count,
        metavar="N",
        help="neurons in the hidden layers of beamformer, presence and angle network (default: 21)",
    )
    group.add_argument(
        "--omega",
        type=weight,
        nargs="+",
        metavar="R|all",
        help="weights ω_r of sensing, each with networks of its own; all: the paper's 13 (default: all)",
    )
    group.add_argument(
        "--literal-loss",
        action=BooleanOptionalAction,
        help="detection learns from snapshots with a target only, as (11) reads to the letter (default: no)",
    )
    group.add_argument(
        "--mask",
        choices=("detected", "present"),
        metavar="detected|present",
        help="the angle error of (12) counts targets that the detector finds, or all (default: detected)",
    )
    group.add_argument(
        "--angle-unit",
        choices=("sector", "rad"),
        metavar="sector|rad",
        help="unit of the angle error of (12): the RMS error of a guess at the sector's middle, or radians "
        "(default: sector)",
    )
    group.add_argument(
        "--scale-inputs",
        action=BooleanOptionalAction,
        help="networks see angles over π/2 and signals over their standard deviation (default: yes)",
    )
    _sector = {"type": number, "nargs": 2, "metavar": ("LO", "HI")}
    group.add_argument(
        "--sector-mean",
        dest="sector_mean_deg",
        **_sector,
        help="degrees between which the middle of a target sector is drawn (default: -60 60)",
    )
    group.add_argument(
        "--sector-span",
        dest="sector_span_deg",
        **_sector,
        help="degrees between which its width is drawn (default: 10 20)",
    )
    group.add_argument(
        "--patience",
        type=count,
        metavar="N",
        help="end a step of an ω_r when its held-out losses have been flat for so long (default: never)",
    )
    group.add_argument(
        "--flat", type=number, metavar="R", help="a fall by less than this share is flat (default: 1e-3)"
    )
    group.add_argument(
        "--check-every", type=count, metavar="N", help="iterations between looks at that (default: 500)"
    )
    group.add_argument(
        "--engine",
        choices=("auto", "kernels", "products", "torch"),
        metavar="auto|kernels|products|torch",
        help="compiled kernels, matrix products with compiled steps between, or torch's differentiation, "
        "also for a GPU; auto: the fastest for the width (default: auto)",
    )
    group.add_argument(
        "--precision",
        choices=("float32", "bfloat16"),
        metavar="float32|bfloat16",
        help="of the products of the networks; bfloat16 for processors that are faster at it "
        "(default: float32)",
    )


def _add_run(group: Any, patience: bool) -> None:
    group.add_argument(
        "--held-out-every",
        type=count,
        metavar="N",
        help="iterations between measurements of the loss on draws that are never trained on (default: 500)",
    )
    if patience:
        group.add_argument(
            "--patience",
            type=count,
            metavar="N",
            help="end when the held-out loss has been flat for so many iterations (default: never)",
        )
    group.add_argument(
        "--checkpoint-every",
        type=number,
        default=60.0,
        metavar="S",
        help="seconds between checkpoints (default: 60)",
    )
    group.add_argument("--quiet", action="store_true", help="print nothing but errors")
