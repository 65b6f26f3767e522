"""Annotations of coherence blocks."""

from __future__ import annotations

import math

import numpy as np
import pytest

from isac_models.block_annotations import BlockAnnotator

COHERENCE, BLOCKS = 5, 8


def truth() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    present = np.repeat(rng.random(BLOCKS) < 0.5, COHERENCE)
    angle = np.repeat(rng.uniform(-0.5, 0.5, BLOCKS).astype(np.float32), COHERENCE)
    detected = rng.random(BLOCKS * COHERENCE) < 0.6
    estimate = rng.uniform(-0.5, 0.5, BLOCKS * COHERENCE).astype(np.float32)
    return {"present": present, "angle": angle, "detected": detected, "estimate": estimate}


@pytest.mark.parametrize("cut", [1, 3, 5, 7, 40])
@pytest.mark.parametrize("limit", [0, 3, 100])
def test_blocks_are_annotated_wherever_the_stream_is_cut(cut: int, limit: int) -> None:
    fields = truth()
    annotator = BlockAnnotator(COHERENCE, limit)
    for start in range(0, BLOCKS * COHERENCE, cut):
        part = {key: value[start : start + cut] for key, value in fields.items()}
        annotator.add(start, len(part["present"]), **part)
    found = annotator.annotations()
    assert (len(found), annotator.left_out) == (min(limit, BLOCKS), BLOCKS - min(limit, BLOCKS))
    for number, block in enumerate(found):
        rows = slice(number * COHERENCE, (number + 1) * COHERENCE)
        assert (block["sample_start"], block["sample_count"]) == (number * COHERENCE, COHERENCE)
        assert block["present"] == bool(fields["present"][rows][0])
        assert block.get("angle", None) == (float(fields["angle"][rows][0]) if block["present"] else None)
        hits = fields["detected"][rows]
        assert block["detections"] == hits.sum()
        if hits.any():
            mean = math.fsum(map(float, fields["estimate"][rows][hits])) / hits.sum()
            assert block["estimated_angle"] == pytest.approx(mean, abs=1e-12)


def test_a_stream_that_begins_inside_a_block_annotates_the_rest_of_it() -> None:
    annotator = BlockAnnotator(4, 10)
    annotator.add(6, 5, present=np.ones(5, bool), angle=np.zeros(5, np.float32))
    assert [(a["sample_start"], a["sample_count"]) for a in annotator.annotations()] == [(6, 2), (8, 3)]
    assert "detections" not in annotator.annotations()[0]


def test_nothing_seen_is_nothing_left_out() -> None:
    annotator = BlockAnnotator(4, 10)
    assert (annotator.blocks, annotator.left_out, annotator.annotations()) == (0, 0, [])


def test_blocks_that_were_bursts_say_so_and_when_they_were_sent_whether_or_not_the_truth_is_known() -> None:
    detected, estimate = np.array([True, False] * 4), np.full(8, 0.5, np.float32)
    decided = {"detected": detected, "estimate": estimate, "tick": np.repeat([1280, 3840], 4)}
    unknown, known = BlockAnnotator(4, 10), BlockAnnotator(4, 10)
    unknown.add(0, 8, **decided)
    present = np.repeat([True, False], 4)
    known.add(0, 8, present=present, angle=np.full(8, 0.25, np.float32), **decided)
    found = [(one["label"], one["tick"], one["detections"]) for one in unknown.annotations()]
    assert found == [("burst", 1280, 2), ("burst", 3840, 2)]
    assert "present" not in unknown.annotations()[0]
    assert [one["label"] for one in known.annotations()] == ["burst, target", "burst, no target"]
    assert [one.get("angle") for one in known.annotations()] == [0.25, None]
