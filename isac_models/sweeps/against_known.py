"""Learned A against the known array and the best beam, at ρ = 1: how far learning gets ahead.

    python -m isac_models.sweeps.against_known ARTIFACT … [--snapshots 2e6] [--out FILE.csv]

Each artifact is measured in the scenario that it was trained in, with the same targets and noise for all: the
artifact's beam and receiver, the least-squares beam of the true array with the true steering vectors, and the
best beam for that receiver; all three read angles with the softmax mean and are calibrated to the same P_fa.
Ratios are paired; the last line is their mean over the artifacts, the hardware being fixed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from isac_models.errors import UserError, one_line
from isac_models.options import Parser, count
from isac_models.sweeps.tables import check_place, save_csv

INTERRUPTED = 130
RATIOS = (("learned", "known array"), ("best beam", "known array"), ("learned", "best beam"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status: 0 done, 2 bad input, 130 stopped by Ctrl-C."""
    parser = Parser(prog="python -m isac_models.sweeps.against_known", description=__doc__.split("\n", 1)[0])
    parser.add_argument(
        "artifacts", nargs="+", metavar="ARTIFACT", help="shipped names or files of learned A"
    )
    parser.add_argument("--snapshots", type=count, default=2_000_000, metavar="N", help="(default: 2e6)")
    parser.add_argument("--out", type=Path, metavar="FILE.csv", help="write every row here too")
    options = parser.parse_args(arguments)
    try:
        check_place(options.out)
        rows = measure(options)
        if options.out:
            save_csv(options.out, rows)
    except UserError as error:
        print(f"error: {one_line(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("error: stopped before all was measured; nothing was written", file=sys.stderr)
        return INTERRUPTED
    return 0


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """One row for each artifact and pair of methods, then one for the mean of each pair; prints them."""
    from isac_models.artifact import load
    from isac_models.methods import System, build_system
    from isac_models.paired import evaluate_paired
    from isac_models.pairing import Estimate, mean_estimate
    from isac_models.theory import best_beam

    found: dict[tuple[str, str], list[tuple[Estimate, Estimate]]] = {pair: [] for pair in RATIOS}
    rows: list[dict[str, Any]] = []
    for number, name in enumerate(options.artifacts):
        artifact = load(name)
        scenario = artifact.scenario
        known = build_system(scenario, "baseline", rho=1.0, estimator="softmax", known_array=True)
        learned = build_system(scenario, "learned", rho=1.0, estimator="softmax", artifact=artifact)
        best = System(best_beam(scenario), known.detector)
        systems = {"learned": learned, "known array": known, "best beam": best}
        paired = evaluate_paired(scenario, systems, options.snapshots, seed=1 + number)
        if paired.interrupted:
            raise KeyboardInterrupt
        for pair in RATIOS:
            both = paired.pair(*pair)
            ratios = both.p_md.ratio(), both.rmse_rad.ratio()
            found[pair].append(ratios)
            p_md, p_fa = (
                [getattr(paired.tally.methods[method].sensing, key).rate for method in pair]
                for key in ("p_md", "p_fa")
            )
            where = f"{scenario.impairment} seed {scenario.impairment_seed}, N = {scenario.grid_size}"
            rows.append(_row(where, pair, *ratios) | _values("p_md", p_md) | _values("p_fa", p_fa))
            _print(rows[-1])
    for pair, ratios_of in found.items():
        means = (mean_estimate([each[i] for each in ratios_of]) for i in (0, 1))
        rows.append(
            _row(f"mean of {len(ratios_of)}", pair, *means) | _values("p_md", []) | _values("p_fa", [])
        )
        _print(rows[-1])
    return rows


def _row(where: str, pair: tuple[str, str], p_md: Any, rmse: Any) -> dict[str, Any]:
    numbers = {**p_md.to_dict("p_md_ratio"), **rmse.to_dict("rmse_ratio")}
    return {"hardware": where, "first": pair[0], "second": pair[1], **numbers}


def _values(key: str, values: Sequence[float]) -> dict[str, float | str]:
    first, second = values or ("", "")
    return {f"{key}_first": first, f"{key}_second": second}


def _print(row: dict[str, Any]) -> None:
    ratios = [
        f"{row[f'{key}_ratio']:.4f} ({row[f'{key}_ratio_low']:.4f} … {row[f'{key}_ratio_high']:.4f})"
        for key in ("p_md", "rmse")
    ]
    pair = f"{row['first']} / {row['second']}"
    print(f"{row['hardware']:32s} {pair:24s} P_md {ratios[0]}  common RMSE {ratios[1]}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
