"""Measures one point, here or on a machine of a cluster."""

from __future__ import annotations

import importlib
import tempfile
import time
import warnings
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from threadpoolctl import threadpool_limits

from isac_models.artifact import Artifact, load
from isac_models.artifact_file import SUFFIX, encode
from isac_models.detection import MatchedFilter
from isac_models.errors import UserError
from isac_models.methods import System, build_system
from isac_models.paired import PairTally, evaluate_paired
from isac_models.scenario import Scenario
from isac_models.sweeps.points import Contender, Point
from isac_models.sweeps.store import Result, plain

KEPT = 4
"""Artifacts that a process keeps loaded."""
LARGEST_SENT = 4 << 20
"""Bytes of an artifact that travels with its points; larger ones must lie on the machines of the cluster."""


def measure(values: Mapping[str, Any], files: Mapping[str, bytes]) -> Result:
    """The result of the point that `values` describes, fit for JSON.

    It is the same on every machine of a kind; linear algebra on several threads would round in another way.
    Of best beams that are equally good another may be chosen all the same: the last bit decides.

    `files`: artifacts that may not be on this machine, the bytes of their files by the checksum of their
    arrays.

    Raises UserError for an artifact that is neither here nor among the files, and as methods do.
    """
    point, start = Point.from_dict(values), time.perf_counter()
    importlib.import_module("scipy.linalg")  # a library is limited once it is loaded
    with threadpool_limits(1), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        systems = {
            each.name: system(point.scenario, each, point.rho, files)
            for each in (point.contender, *point.versus)
        }
        paired = evaluate_paired(point.scenario, systems, point.snapshots, point.seed)
    if paired.interrupted:
        raise KeyboardInterrupt
    name = point.contender.name
    own, tally = systems[name], paired.tally.methods[name]
    result = {
        "point": dict(values),
        "estimator": own.detector.estimator,
        "threshold": own.detector.threshold.amplitude,
        "snapshots": tally.snapshots,
        "rates": tally.rates(),
        "counters": tally.to_dict(),
        "theory": system_theory(point.scenario, own),
        "versus": {each.name: _against(paired.pair(name, each.name)) for each in point.versus},
        "warnings": sorted({str(each.message) for each in caught}),
        "seconds": time.perf_counter() - start,
    }
    return dict(plain(result))


def system(
    scenario: Scenario, contender: Contender, rho: float, files: Mapping[str, bytes] | None = None
) -> System:
    """What a contender does at a ρ.

    Raises UserError as `measure` does.
    """
    scenario = scenario.replace(grid_size=contender.grid_size)
    if contender.method == "best beam":
        from isac_models.sweeps.best_beam import best_isac_beam, known_array_filter

        detector = known_array_filter(scenario)
        return System(best_isac_beam(scenario, rho, detector), detector)
    choices: dict[str, Any] = {"rho": rho, "known_array": contender.known_array}
    if contender.estimator:
        choices["estimator"] = contender.estimator
    if contender.artifact:
        choices["artifact"] = _artifact(contender, files or {})
    return build_system(scenario, contender.method, **choices)


def system_theory(scenario: Scenario, system: System) -> dict[str, float | None]:
    """What theory says of a system, as `theory.link_theory`."""
    from isac_models.theory import link_theory

    detector = system.detector if isinstance(system.detector, MatchedFilter) else None
    points = None if system.encoder is None else system.points(scenario)
    return link_theory(scenario, system.beam, detector, points)


def _against(pair: PairTally) -> dict[str, Any]:
    """Ratios of the first's figures to the second's, and both RMSEs on the snapshots that both found."""
    values = pair.to_dict()
    found: dict[str, Any] = {"common": values["common"]}
    for metric in ("ser", "p_md", "rmse_rad"):
        ends = {end: values[f"{metric}_ratio_{end}"] for end in ("low", "high", "error")}
        found[metric] = {"ratio": values[f"{metric}_ratio"], **ends}
    common = pair.rmse_rad
    found["rmse_rad"] |= {"own": common.first_rmse.rmse, "other": common.swapped().first_rmse.rmse}
    return found


def files_of(point: Point) -> dict[str, bytes]:
    """The files of the artifacts that a point needs, as far as they are small enough to travel with it."""
    found = {}
    for sha256, source in point.artifacts().items():
        data = encode(_loaded(source, sha256))
        if len(data) <= LARGEST_SENT:
            found[sha256] = data
    return found


def _artifact(contender: Contender, files: Mapping[str, bytes]) -> Artifact:
    """The trained model of a contender, and no other that has taken its place."""
    try:
        return _loaded(contender.artifact, contender.sha256)
    except UserError:
        if contender.sha256 not in files:
            raise
    with tempfile.NamedTemporaryFile(suffix=SUFFIX) as file:
        file.write(files[contender.sha256])
        file.flush()
        return _loaded(file.name, contender.sha256)


@lru_cache(maxsize=KEPT)
def _loaded(source: str, sha256: str) -> Artifact:
    """The artifact of that name or path.

    Raises UserError when it cannot be used or has another checksum.
    """
    found = load(source)
    if found.sha256 != sha256:
        raise UserError(f"artifact {source} has changed since the figures were planned: start again")
    return found
