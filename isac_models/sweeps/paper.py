"""The sentences of Sec. V-B to V-D of the paper about its figures, and what this project claims beyond it."""

from __future__ import annotations

from collections.abc import Sequence

from isac_models.sweeps.claims import Check, Claim, Wanted
from isac_models.sweeps.ratios import METRICS
from isac_models.sweeps.studies import LIMITED, UNLIMITED

LEARNED, SMALL = f"learned-{UNLIMITED}", f"learned-{LIMITED}"


def _ends(figure: str, first: str, second: str, wanted: Wanted) -> tuple[Check, ...]:
    """P_md and RMSE at ρ = 1."""
    return tuple(Check(figure, metric, first, second, wanted) for metric in ("p_md", "rmse_rad"))


def _all(figure: str, first: str, second: str, wanted: Wanted) -> tuple[Check, ...]:
    """The three figures, over all ρ."""
    return tuple(Check(figure, metric, first, second, wanted, "all") for metric in METRICS)


def _networks(second: str) -> tuple[Check, ...]:
    """The three figures of the networks and of another method in Fig. 3, at the ends and between them."""
    return (
        *_ends("fig3", "neural-wide", second, "coincide"),
        Check("fig3", "ser", "neural-wide", second, "coincide"),
        Check("fig3", "ser", "neural-wide", second, "coincide", "equal P_md"),
        Check("fig3", "ser", "neural-wide", second, "coincide", "equal RMSE"),
    )


CLAIMS = (
    Claim(
        "V-B",
        "No significant differences can be observed between the learning approaches and the baseline.",
        (*_all("fig3", LEARNED, "baseline", "coincide"), *_networks("baseline"), *_networks(LEARNED)),
        "Each ratio of two of the three methods has a 95 % bound of at most 1.10, either way round: the "
        "learned A at every ρ, the networks at the ω_r that serve one figure alone, and in between by "
        "their SER at equal P_md and at equal RMSE.",
    ),
    Claim(
        "V-B",
        "Indeed, for this scenario the baseline transmitter and receiver algorithms are either optimal (for "
        "communications) or close to optimal (for radar sensing).",
        (
            Check("fig3", "ser", "baseline", "best", "coincide"),
            *_ends("fig3", "baseline", "best", "coincide"),
        ),
        "Against the best beams for communications (ρ = 0) and for sensing (ρ = 1).",
    ),
    Claim(
        "V-B",
        "Moreover, without complexity constraints both learning approaches can be trained to perform similar "
        "to the baseline.",
        (
            *_ends("fig3", LEARNED, "baseline", "coincide"),
            Check("fig3", "ser", LEARNED, "baseline", "coincide"),
            *_ends("fig3", "neural-wide", "baseline", "coincide"),
            Check("fig3", "ser", "neural-wide", "baseline", "coincide"),
        ),
    ),
    Claim(
        "V-C",
        "The main difference with respect to Fig. 3 is that the performance of the baseline drops in "
        "terms of angle estimation.",
        (
            Check("fig4", "rmse_rad", "baseline", "baseline", "higher", "without impairment"),
            Check("fig4", "rmse_rad", "baseline", "known", "higher"),
        ),
        "The baseline's RMSE is larger than without impairment, and than that of the same algorithm which "
        "knows the impaired array.",
    ),
    Claim(
        "V-C",
        "Conversely, when complexity is not limited, both end-to-end learning approaches are able to "
        "adapt to the impairments and show good performance …",
        (
            Check("fig4", "rmse_rad", LEARNED, "baseline", "lower"),
            Check("fig4", "rmse_rad", "neural-wide", "baseline", "lower"),
            *_ends("fig4", LEARNED, "known", "at most 1.10"),
            *_ends("fig4", "neural-wide", "known", "at most 1.10"),
        ),
        "More precise than the baseline, and at most 10 % behind the known array.",
    ),
    Claim(
        "V-C",
        "… although neural-network learning slightly outperforms model-driven learning.",
        _ends("fig4", "neural-wide", LEARNED, "lower"),
    ),
    Claim(
        "V-C",
        "Neural-network-based degrades both for detection probability and angle estimation when the "
        "number of parameters is reduced.",
        _ends("fig4", "neural-wide", "neural-narrow", "lower"),
    ),
    Claim(
        "V-C",
        "However, model-driven learning shows similar performance with respect to unlimited complexity.",
        (
            *_ends("fig4", SMALL, LEARNED, "at most 1.10"),
            Check("fig4", "ser", SMALL, LEARNED, "at most 1.10"),
        ),
    ),
    Claim(
        "V-C",
        "This indicates that in cases where complexity is limited, model-driven approaches perform better "
        "than neural-network-based learning.",
        _ends("fig4", SMALL, "neural-narrow", "lower"),
    ),
    Claim(
        "V-D",
        "We expected that the baseline would outperform learning approaches since they are tested on new "
        "unseen data.",
        (
            *_ends("fig5-unrestricted", LEARNED, "baseline", "higher"),
            *_ends("fig5-unrestricted", "neural-wide", "baseline", "higher"),
        ),
        "An expectation of the authors that the next sentence takes back; judged as if it were a claim.",
    ),
    *(
        Claim(
            "V-D",
            "However, model-driven learning is the best approach, outperforming neural-network learning for "
            "both target detection and angle estimation.",
            (*_ends(figure, learned, neural, "lower"), *_ends(figure, learned, "baseline", "lower")),
            f"In the unseen sector, {reading}: better than the networks and than the baseline.",
        )
        for figure, learned, neural, reading in (
            (
                "fig5-unrestricted",
                LEARNED,
                "neural-wide",
                "no limit on complexity, as the text of Fig. 5 says",
            ),
            ("fig5-low", SMALL, "neural-narrow", "low complexity, as the caption of Fig. 5 says"),
        )
    ),
    Claim(
        "V-D",
        "This implies that the model-driven approach does not overfit to the training data, and it also "
        "captures the model structure of the impaired steering vectors.",
        (
            *_ends("fig5-unrestricted", LEARNED, "known", "at most 1.10"),
            *_ends("fig5-low", SMALL, "known", "at most 1.10"),
        ),
        "In the unseen sector, at most 10 % behind the same algorithm that knows the impaired array.",
    ),
)
"""In the order of the paper."""


def beyond(learned: Sequence[str]) -> tuple[Claim, ...]:
    """What this project claims itself, for each learned A of Fig. 4 by its name."""
    return tuple(
        Claim(
            "beyond the paper",
            f"The learned A ({name}) beats the known array at ρ = 1, with the same softmax estimator and "
            "P_fa.",
            _ends("fig4", name, "known-softmax", "not higher"),
        )
        for name in learned
    )
