"""Files over bursts that may be lost: Reed–Solomon codes, framing, repetition on request."""
