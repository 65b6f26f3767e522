"""What the benchmarks share: run programs in turn, take medians, compare rates within their intervals."""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from isac_models.errors import UserError
from isac_models.options import Parser

ROOT = Path(__file__).resolve().parent.parent
SIGMAS = 5.0  # two estimates of one rate differ by more once in two million comparisons

DENSE = "benchmarks/reference/dense_numpy.py"
SECTOR = "benchmarks/reference/link_numpy.py"
TRAINING = "benchmarks/reference/train_torch.py"
RADIO = "benchmarks/reference/radio_numpy.py"
GNURADIO = "benchmarks/reference/radio_gnuradio.py"
FROZEN = {
    DENSE: "2f075039428bbaf4a5ac03b30a37a613461f6ff60907a5868bb6a6b28396cb59",
    SECTOR: "8d8a8f5ea302291b00d6c16100e861d8a7b17ed785705f96fb964ad87da0472e",
    TRAINING: "9743b0c40ddbad6bd7912ff424f7bf87f37ede3da67625e853aa864660ec0056",
    RADIO: "c1e7ec5b103ccd482cd72e27c24bb6667784d20c4b0fba829429cb9a72926dbe",
    GNURADIO: "51e9a6ebb0934baece2682d4b317ccacb65406bca534b5f12919c9e2f7af6a80",
}

Result = dict[str, Any]


def parse_with_device(parser: Parser) -> argparse.Namespace:
    """The options and --device; one line and exit status 2 for a GPU that is not there."""
    from isac_models.learning.session import device

    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", metavar="cpu|cuda")
    options = parser.parse_args()
    try:
        device(options.device)
    except UserError as error:
        parser.error(str(error))
    return options


def whole(call: Callable[..., Any], device: str) -> Callable[..., None]:
    """A call that waits for what it has a GPU do."""

    def run(*arguments: Any) -> None:
        call(*arguments)
        if device == "cuda":
            import torch

            torch.cuda.synchronize()

    return run


def run_json(command: Sequence[str], **environment: str) -> Result:
    """The one JSON object that a program prints; its errors pass through."""
    process = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    result: Result = json.loads(process.stdout)
    return result


def alternate(
    first: Sequence[str], second: Sequence[str], runs: int, **environment: str
) -> tuple[list[Result], ...]:
    """Run both programs in turn, A B A B …, after one uncounted run of each; results of each."""
    results: tuple[list[Result], list[Result]] = ([], [])
    for number in range(runs + 1):
        for side, command in zip(results, (first, second), strict=True):
            result = run_json(command, **environment)
            if number:
                side.append(result)
            print(
                f"  {command[0]}: {result['snapshots_per_second'] / 1e6:.2f} M snapshots/s", file=sys.stderr
            )
    return results


def speeds(results: Sequence[Result]) -> Result:
    """Median, lowest and highest snapshots per second."""
    values = sorted(result["snapshots_per_second"] for result in results)
    return {"median": median(values), "lowest": values[0], "highest": values[-1]}


def ratio(numerator: Sequence[Result], denominator: Sequence[Result]) -> Result:
    """Median, lowest and highest ratio of speeds, run by run."""
    pairs = zip(numerator, denominator, strict=True)
    values = sorted(a["snapshots_per_second"] / b["snapshots_per_second"] for a, b in pairs)
    return {"median": median(values), "lowest": values[0], "highest": values[-1]}


def disagreement(ours: Result, theirs: Result) -> list[str]:
    """The figures in which two sides differ by more than SIGMAS standard errors, from their counters."""
    wrong = []
    for key in ("ser", "p_md", "p_fa", "rmse_rad"):
        spread = math.hypot(*(standard_error(key, side) for side in (ours, theirs)))
        if abs(ours[key] - theirs[key]) > SIGMAS * spread:
            wrong.append(f"{key}: {ours[key]:.6g} against {theirs[key]:.6g}, standard error {spread:.2g}")
    return wrong


def standard_error(key: str, side: Result) -> float:
    """Standard error of a rate (binomial; for P_fa with that of its threshold) or of the RMSE."""
    counter = side["counters"][key]
    if key == "rmse_rad":
        square, fourth = (counter[name] / counter["count"] for name in ("sum_squares", "sum_fourth"))
        return math.sqrt((fourth - square**2) / counter["count"]) / (2 * math.sqrt(square))
    value = side[key]
    sampling = math.sqrt(value * (1 - value) / counter["trials"])
    if key != "p_fa":
        return sampling
    calibrated = side.get("calibration_snapshots")
    share = 1 / math.sqrt(calibrated * value) if calibrated else side["threshold_relative_error"]
    return math.hypot(sampling, share * value)


def frozen(script: str) -> bool:
    """Whether a reference script is still the one that ratios have been measured against."""
    return hashlib.sha256((ROOT / script).read_bytes()).hexdigest() == FROZEN[script]


def machine(device: str = "cpu") -> Result:
    """What the figures were measured on."""
    found: Result = {
        "cores": os.cpu_count(),
        "load_average": os.getloadavg(),
        "machine": platform.machine(),
        "python": platform.python_version(),
    }
    if device == "cuda":
        import torch

        found["gpu"] = torch.cuda.get_device_name()
    return found
