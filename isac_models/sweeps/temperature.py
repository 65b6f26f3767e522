"""How sharp the softmax of (13) should be: the RMSE over a factor on |Aᴴy|, by sector width, at ρ = 1.

    python -m isac_models.sweeps.temperature ARTIFACT … [--snapshots 1e6] [--out FILE.csv]

A learned A has a temperature of its own in the norms of its columns, the true steering vectors have that of
the paper, 1. Both are scaled by every factor (the threshold with them, so that the same targets are found)
and read the angles of the targets found in sectors of several widths around the middle of the scenario's.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from isac_models.errors import UserError, one_line
from isac_models.options import Parser, count
from isac_models.sweeps.tables import check_place, save_csv

INTERRUPTED = 130
FACTORS = (0.6, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 4.0)
WIDTHS_DEG = (10, 15, 20, 25)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status: 0 done, 2 bad input, 130 stopped by Ctrl-C."""
    parser = Parser(prog="python -m isac_models.sweeps.temperature", description=__doc__.split("\n", 1)[0])
    parser.add_argument(
        "artifacts", nargs="+", metavar="ARTIFACT", help="shipped names or files of learned A"
    )
    parser.add_argument("--snapshots", type=count, default=1_000_000, metavar="N", help="(default: 1e6)")
    parser.add_argument("--out", type=Path, metavar="FILE.csv", help="write every row here too")
    options = parser.parse_args(arguments)
    from isac_models.artifact import warnings_as_lines

    try:
        check_place(options.out)
        with warnings_as_lines():
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
    """A row for each artifact, width, matrix (its own and the true one) and factor; prints the best ones."""
    from isac_models.artifact import load
    from isac_models.methods import build_system, true_steering

    rows: list[dict[str, Any]] = []
    for name in options.artifacts:
        artifact = load(name)
        middle = math.degrees(sum(artifact.scenario.target_sector) / 2)
        for width in WIDTHS_DEG:
            sector = (middle - width / 2, middle + width / 2)
            scenario = artifact.scenario.replace(target_sector_deg=sector)
            learned = build_system(scenario, "learned", rho=1.0, artifact=artifact)
            known = build_system(scenario, "baseline", rho=1.0, known_array=True)
            for method, beam, matrix in (
                ("learned", learned.beam, artifact.dictionary),
                ("known array", known.beam, true_steering(scenario)),
            ):
                found = _factors(scenario, beam, matrix, options.snapshots)
                hardware = f"{scenario.impairment} seed {scenario.impairment_seed}, N = {scenario.grid_size}"
                about = {"hardware": hardware, "method": method, "width_deg": width}
                rows += [about | each for each in found]
                _print(about, found)
    return rows


def _factors(scenario: Any, beam: Any, matrix: Any, snapshots: int) -> list[dict[str, float]]:
    """For each factor the RMSE on the targets found, and its ratio to that of factor 1 on the same noise."""
    from isac_models.detection import MatchedFilter
    from isac_models.methods import System
    from isac_models.paired import evaluate_paired

    systems = {
        f"{factor:g}": System(beam, MatchedFilter(scenario, factor * matrix, "softmax")) for factor in FACTORS
    }
    paired = evaluate_paired(scenario, systems, snapshots)
    if paired.interrupted:
        raise KeyboardInterrupt
    rows = []
    for factor, name in zip(FACTORS, systems, strict=True):
        own = paired.tally.methods[name].sensing.rmse_rad
        low, high = own.interval()
        row = {"factor": factor, "rmse_rad": own.rmse, "rmse_rad_low": low, "rmse_rad_high": high}
        ratio = {"rmse_ratio": 1.0, "rmse_ratio_low": 1.0, "rmse_ratio_high": 1.0}
        rows.append(
            row | (ratio if factor == 1 else paired.pair(name, "1").rmse_rad.ratio().to_dict("rmse_ratio"))
        )
    return rows


def _print(about: dict[str, Any], rows: list[dict[str, float]]) -> None:
    best = min(rows, key=lambda row: row["rmse_rad"])
    print(
        f"{about['hardware']:24s} {about['width_deg']:3d}° {about['method']:12s} best factor "
        f"{best['factor']:4g}: RMSE × {best['rmse_ratio']:.4f} "
        f"({best['rmse_ratio_low']:.4f} … {best['rmse_ratio_high']:.4f}) to factor 1",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
