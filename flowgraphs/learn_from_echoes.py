"""How many labelled echoes repair the array? Record a link, train A on what the receiver heard, measure.

python flowgraphs/learn_from_echoes.py --out DIR [--echoes 100 1000 1e4 1e5 1e6] [--repeats 3]

MessageSource ─ QamEncoder ─ Precoder (baseline, ρ = 1) ─ TargetReflector ─ FrameRecorder

Every training starts from the nominal matrix, sees the recording alone (never the simulator) and keeps the
matrix that serves one echo in five best, which it does not train on. The learned receiver then works behind
the beam that was recorded, the baseline's, between a receiver that believes in the nominal array and one that
knows the true one. Writes samples.csv and samples.png.
"""

import argparse
import csv
import os
import sys
from itertools import product
from pathlib import Path
from typing import Any

import interrupts  # noqa: F401 - first: Ctrl-C may come while the rest loads
from isac_link_options import run_program
from isac_models.errors import UserError
from isac_models.options import Parser, add_scenario_options, count, need_matplotlib, scenario_from, whole
from isac_models.scenario import Scenario

SNAPSHOTS = 1_000_000
"""Of each measurement: P_md to about 1 %, RMSE to about 1 %."""
FEWEST = 50
SETTINGS: dict[str, Any] = {"recipe": "cosine", "learning_rate": 2e-3, "iterations": 4000, "batch": 2000}
RATES = ("p_md", "p_fa", "rmse_rad", "rmse_rad_low", "rmse_rad_high")
COLUMNS = ("echoes", "repeat", "method", "estimator", *RATES)


def main() -> int:
    """Record, train and measure for each number of echoes."""
    options = parse()
    scenario = scenario_from(options)
    need_matplotlib("samples.png")
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {options.out}: {error.strerror}") from None
    from isac_models.methods import true_steering

    true = true_steering(scenario)
    rows = [
        measure(scenario, "nominal array", None, "softmax"),
        measure(scenario, "true array", true, "softmax"),
    ]
    recording = options.out / "echoes.isacrec"
    part = options.out / "samples.part.csv"  # what was measured stays there when the rest is stopped
    with part.open("w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, extrasaction="ignore", restval="")
        table.writeheader()
        table.writerows(rows)
        for echoes, repeat in product(options.echoes, range(options.repeats)):
            record(scenario, recording, echoes, options.seed + repeat)
            try:
                matrix = learn(scenario, recording, echoes, options.seed, options.threads)
            finally:
                recording.unlink(missing_ok=True)
            found = measure(scenario, "learned", matrix, "softmax")
            rows.append(found | {"echoes": echoes, "repeat": repeat})
            table.writerow(rows[-1])
            file.flush()
            show(rows[-1])
    os.replace(part, options.out / "samples.csv")
    from link_plot import plot_samples

    plot_samples(options.out / "samples.png", rows)
    print(f"written: {options.out / 'samples.csv'}, {options.out / 'samples.png'}")
    return 0


def parse() -> argparse.Namespace:
    """The options; exits with status 2 and one line on bad ones."""
    parser = Parser(prog="learn_from_echoes.py", description=__doc__.split("\n", 1)[0])
    add_scenario_options(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the results")
    parser.add_argument(
        "--echoes", type=count, nargs="+", default=[100, 1000, 10_000, 100_000, 1_000_000], metavar="N"
    )
    parser.add_argument("--repeats", type=count, default=3, metavar="N", help="recordings of each length")
    parser.add_argument("--threads", type=count, default=2, metavar="N")
    parser.add_argument("--seed", type=whole, default=1, metavar="N")
    options = parser.parse_args()
    if min(options.echoes) < FEWEST:
        parser.error(f"--echoes {min(options.echoes)}: at least {FEWEST}, so that enough targets are found")
    return options


def record(scenario: Scenario, path: Path, echoes: int, seed: int) -> None:
    """Record until about so many targets were there: one in two snapshots has one."""
    import blocks
    from blocks.runtime import Flowgraph

    source = blocks.MessageSource(scenario, 2 * echoes)
    precoder, reflector = blocks.Precoder(scenario, rho=1.0), blocks.TargetReflector(scenario)
    about = {"seed": seed, "program": "learn_from_echoes"}
    recorder = blocks.FrameRecorder(str(path), scenario, reflector.produces, about)
    graph = Flowgraph("learn-from-echoes", seed=1000 + seed)
    graph.connect(source, blocks.QamEncoder(scenario), precoder, reflector, recorder)
    graph.run()


def learn(scenario: Scenario, recording: Path, echoes: int, seed: int, threads: int) -> Any:
    """A of a recording, (K, N)."""
    from isac_models.learning.model_driven import ModelDriven

    batch = min(SETTINGS["batch"], echoes)
    given = {**SETTINGS, "batch": batch, "seed": seed, "threads": threads, "from_recording": str(recording)}
    task = ModelDriven(scenario, ModelDriven.complete(given))
    for iteration in range(task.settings["iterations"]):
        task.step(iteration)
    return task.matrix()


def measure(scenario: Scenario, method: str, matrix: Any, estimator: Any) -> dict[str, Any]:
    """P_md, P_fa and RMSE of a matched filter with these steering vectors behind the baseline's beam."""
    from isac_models.beamforming import baseline_beam
    from isac_models.detection import MatchedFilter
    from isac_models.methods import System
    from isac_models.monte_carlo import Link

    system = System(baseline_beam(scenario, rho=1.0), MatchedFilter(scenario, matrix, estimator))
    tally = Link(scenario, system, seed=1).measure(0, SNAPSHOTS)
    return {"method": method, "estimator": estimator, **tally.sensing.rates()}


def show(row: dict[str, Any]) -> None:
    """One line of progress."""
    print(f"{row['echoes']:>9,} echoes: P_md {row['p_md']:.4f}, RMSE {row['rmse_rad']:.5f} rad", flush=True)


if __name__ == "__main__":
    sys.exit(run_program(main))
