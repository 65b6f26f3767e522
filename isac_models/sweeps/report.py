"""The judgements on the claims as Markdown, for a page of docs/, and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from isac_models.pairing import Estimate
from isac_models.sweeps.claims import WANTED, Check, Finding, Judgement
from isac_models.sweeps.ratios import Metric
from isac_models.sweeps.studies import NARROW, WIDE

SYMBOLS: Mapping[Metric, str] = {"p_md": "P_md", "rmse_rad": "RMSE", "ser": "SER"}
PLACES = {
    "all": ", worst of all ρ",
    "equal P_md": ", worst at equal P_md",
    "equal RMSE": ", worst at equal RMSE",
}
PLANNED = {"neural-wide": f"networks, N={WIDE}", "neural-narrow": f"networks, N={NARROW}"}
"""What contenders would be called that were not measured."""
PREAMBLE = """\
Each line is the ratio of a figure of one method to that of another, with its 95 % interval, on the same
messages, targets and noise. P_md and RMSE are compared at ρ = 1, SER at ρ = 0, unless the line says
otherwise; the RMSE on the snapshots where both find the target. A check passes when its whole interval is
where the column *asked* says. Seeds are realisations of the impaired hardware, fixed beforehand; verdicts are
on the mean over them, and the interval of the mean is for these very seeds. A claim with several checks holds
when all pass, and holds partly when some do; an interval across the limit leaves a check undecided.
"""


def as_markdown(judgements: Sequence[Judgement], labels: Mapping[str, str]) -> str:
    """A table of verdicts, then every claim with its numbers. `labels`: of `figure/name`, as plots say."""
    parts = [PREAMBLE, _summary(judgements)]
    numbers = _numbers(judgements)
    for claim, number in numbers.items():
        own = [each for each in judgements if id(each.claim) == claim]
        parts.append(_section(number, own, labels))
    return "\n".join(parts)


def as_values(judgements: Sequence[Judgement]) -> list[dict[str, Any]]:
    """The same, fit for JSON."""
    numbers = _numbers(judgements)
    return [
        {
            "claim": numbers[id(each.claim)],
            "section": each.claim.section,
            "sentence": each.claim.sentence,
            "reading": each.claim.reading,
            "impairment": each.impairment,
            "verdict": each.verdict,
            "verdict_by_seed": {seed: each.verdict_of(seed) for seed in _seeds(each)},
            "checks": [_values(finding) for finding in each.findings],
        }
        for each in judgements
    ]


def _summary(judgements: Sequence[Judgement]) -> str:
    """One line for a claim: its verdict for each kind of impairment."""
    kinds = list(dict.fromkeys(each.impairment for each in judgements))
    lines = [
        f"| | section | claim | {' | '.join(_kind(kind) for kind in kinds)} |",
        f"|---|---|---|{'---|' * len(kinds)}",
    ]
    for claim, number in _numbers(judgements).items():
        own = {each.impairment: each for each in judgements if id(each.claim) == claim}
        first = next(iter(own.values()))
        verdicts = [f"**{own[kind].verdict}**" if kind in own else "" for kind in kinds]
        reading = f" *({first.claim.reading})*" if _repeated(judgements, first) else ""
        lines.append(
            f"| {number} | {first.claim.section} | {first.claim.sentence}{reading} | {' | '.join(verdicts)} |"
        )
    return "\n".join(lines) + "\n"


def _section(number: int, judgements: Sequence[Judgement], labels: Mapping[str, str]) -> str:
    claim = judgements[0].claim
    lines = [f"### {number}. {claim.section}", "", f"> {claim.sentence}", ""]
    if claim.reading:
        lines += [f"Read as: {claim.reading}", ""]
    for each in judgements:
        seeds = _seeds(each)
        many = len(seeds) > 1
        columns = ["ratio", "asked", *([f"mean of {len(seeds)}"] if many else [])]
        columns += [f"seed {seed}" if each.impairment != "none" else "measured" for seed in seeds]
        columns += ["seeds that pass"] if many else []
        columns += ["passes"]
        lines += [f"{_kind(each.impairment)}: **{each.verdict}**", ""]
        lines += ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
        for finding in each.findings:
            cells = [_ratio(finding.check, labels), WANTED[finding.check.wanted]]
            cells += [_cell(finding.mean)] if many else []
            cells += [_cell(finding.by_seed.get(seed)) for seed in seeds]
            cells += [f"{len(finding.seeds_passed)} of {len(finding.by_seed)}"] if many else []
            cells += [finding.outcome or "not tested"]
            lines.append("| " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def _ratio(check: Check, labels: Mapping[str, str]) -> str:
    """What is divided by what, in words."""
    first, second = (
        labels.get(f"{check.figure}/{name}", PLANNED.get(name, name)) for name in (check.first, check.second)
    )
    if check.where == "without impairment":
        return f"{SYMBOLS[check.metric]}: {first} / the same without impairment (separate draws)"
    place = PLACES.get(check.where, "")
    return f"{SYMBOLS[check.metric]}: {first} / {second}{place}" + f" ({check.figure})" * (
        check.figure.startswith("fig5")
    )


def _cell(ratio: Estimate | None) -> str:
    return "–" if ratio is None else f"{ratio.value:.3f} ({ratio.low:.3f} … {ratio.high:.3f})"


def _kind(impairment: str) -> str:
    return "no impairment" if impairment == "none" else f"`{impairment}`"


def _seeds(judgement: Judgement) -> list[int]:
    """Hardware seeds on which anything was measured, at least one column of them."""
    return sorted({seed for finding in judgement.findings for seed in finding.by_seed}) or [1]


def _numbers(judgements: Sequence[Judgement]) -> dict[int, int]:
    """Claims by identity, numbered in their order."""
    return {claim: n for n, claim in enumerate(dict.fromkeys(id(each.claim) for each in judgements), 1)}


def _repeated(judgements: Sequence[Judgement], one: Judgement) -> bool:
    """Whether a sentence is read in more than one way."""
    same = {id(each.claim) for each in judgements if each.claim.sentence == one.claim.sentence}
    return len(same) > 1


def _values(finding: Finding) -> dict[str, Any]:
    check = finding.check
    return {
        "figure": check.figure,
        "metric": "rmse_common" if check.metric == "rmse_rad" else check.metric,
        "ratio_of": check.first,
        "to": check.second,
        "where": check.where,
        "asked": WANTED[check.wanted],
        "passes": finding.outcome,
        "mean": None if finding.mean is None else _bounds(finding.mean),
        "by_seed": {seed: _bounds(ratio) for seed, ratio in finding.by_seed.items()},
        "seeds_passed": finding.seeds_passed,
    }


def _bounds(ratio: Estimate) -> dict[str, float]:
    return {key: round(getattr(ratio, key), 5) for key in ("value", "low", "high")}
