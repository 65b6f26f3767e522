"""Find bursts in a stream of samples, follow their clock, and say where samples are missing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac_models.waveform.burst_format import BurstFormat
from isac_models.waveform.synchronise import Sync, refine, synchronise

Values = NDArray[Any]

MARGIN = 64
"""Samples of a window before and behind the burst: silence to measure the noise in, room for echoes."""
PATIENCE = 4
"""Misses in a row before the whole slot is searched again: a fade costs one or two, a slip all."""
GIVE_UP = 200
"""Misses in a row after which the burst clock is forgotten."""
POSITION_GAIN, RATE_GAIN = 0.3, 0.02
"""Of the alpha-beta filter that follows delay and CFO from burst to burst."""
STRICT = 1e-9
"""False-alarm probability of a search that may move the burst clock."""


@dataclass(frozen=True)
class FoundBurst:
    """One burst's samples: window (C, W) from tick `time` on, symbol 0 at `sync.start` in it.

    `lost` of the window's samples never came and are zero, or the burst clock was wrong, and all of them
    are. `slip` is by how many samples, modulo a slot, the burst came away from where the burst clock
    expected it, drift apart: samples lost without a word.
    """

    window: Values
    time: int
    sync: Sync
    lost: int = 0
    slip: int = 0


class BurstFinder:
    """Cuts a stream of samples (C, n) into bursts.

    Without a burst clock it searches for preambles; with one it cuts a window where the next burst is due,
    slot after slot, found or not (a faded burst is a burst, and given once the next one says so), and
    follows delay and CFO with an alpha-beta filter. Time may jump: what is missing is filled with zeros and
    counted; a jump back, or by more than `longest_gap` samples, is a restart, and the search begins again.
    """

    def __init__(
        self,
        layout: BurstFormat,
        channels: int,
        false_alarm: float = 1e-6,
        longest_gap: int = 1 << 20,
    ) -> None:
        self.format, self.channels, self.false_alarm = layout, channels, false_alarm
        self.longest_gap = longest_gap
        self.restarts = self.lost = self.slips = self.slipped = self.missed = self.found = 0
        self._head = MARGIN + layout.pulse.delay
        """Samples from a window's beginning to symbol 0."""
        self.width = layout.samples + 2 * MARGIN
        """Samples of a window."""
        self._waiting: list[FoundBurst] = []
        self._store = np.zeros((0, channels), np.complex64)  # the channels of a sample side by side
        self._low = 0  # where in the store the buffer begins
        self._buffer = self._store[:0]
        self._holes: list[tuple[int, int]] = []  # ticks [from, to) that never came
        self._base: int | None = None  # tick of the buffer's first sample
        self._forget()

    def _forget(self) -> None:
        """Lose the burst clock."""
        self._due: float | None = None  # tick of the next burst's symbol 0
        self._period = float(self.format.slot)
        self._cfo = self._cfo_rate = 0.0
        self._misses = self._unsearched = self._slip = 0

    def push(self, samples: Values, time: int) -> list[FoundBurst]:
        """Take samples (C, n), the first at tick `time`; returns the bursts that are complete now."""
        self._append(samples, time)
        bursts: list[FoundBurst] = []
        while (burst := self._next()) is not None:
            bursts += self._settle(burst)
        return bursts

    def _settle(self, burst: FoundBurst) -> list[FoundBurst]:
        """Bursts that were not found wait for the next one that is: faded, or cut in the wrong place?"""
        if not burst.sync.detected and len(self._waiting) < GIVE_UP:
            self._waiting.append(burst)
            return []
        waiting, self._waiting = self._waiting, []
        if burst.slip or not burst.sync.detected:
            waiting = [replace(one, lost=self.width) for one in waiting]
        return [*waiting, burst]

    def _append(self, samples: Values, time: int) -> None:
        end = None if self._base is None else self._base + len(self._buffer)
        if end is not None and not 0 <= time - end <= self.longest_gap:
            self.restarts += 1
            self._forget()
            self._base, self._holes, end = None, [], None
            self._buffer = self._buffer[:0]
        if self._base is None or end is None:
            self._base = end = time
        if time > end:
            self.lost += time - end
            self._holes.append((end, time))
        held, gap = len(self._buffer), time - end
        self._reserve(held + gap + samples.shape[1])
        low = self._low + held
        last = low + gap + samples.shape[1]
        self._store[low : low + gap] = 0
        self._store[low + gap : last] = samples.T
        self._buffer = self._store[self._low : last]

    def _reserve(self, size: int) -> None:
        """Make room for `size` samples from the buffer's first on; what it holds moves only if it has to."""
        held = len(self._buffer)
        if not held:
            self._low = 0
        if self._low + size <= len(self._store):
            return
        store = self._store
        if 2 * size > len(store):
            store = np.empty((4 * size, self.channels), np.complex64)
        store[:held] = self._buffer.copy() if store is self._store else self._buffer
        self._store, self._low = store, 0
        self._buffer = store[:held]

    def _next(self) -> FoundBurst | None:
        """The next burst, if all of its samples are there."""
        if self._due is None and not self._acquire():
            return None
        assert self._base is not None
        assert self._due is not None
        slip = 0
        if self._unsearched >= PATIENCE:
            moved = self._search_slot()
            if moved is None:
                return None
            slip, self._unsearched = moved, 0
        first = round(self._due) - self._head
        if first < self._base:  # its beginning was never received
            self._due += self._period * np.ceil((self._base - first) / self._period)
            first = round(self._due) - self._head
        if first + self.width > self._base + len(self._buffer):
            self._slip += slip
            return None
        window = self._buffer[first - self._base : first - self._base + self.width].copy().T
        lost = sum(max(0, min(b, first + self.width) - max(a, first)) for a, b in self._holes)
        sync = self._follow(window, Sync(self._due - first, self._cfo, 0.0, False))
        slip, self._slip = slip + self._slip, 0
        self._drop_before(first + self.width - 2 * MARGIN - self.format.slot // 2)
        return FoundBurst(window, first, sync, lost, slip)

    def _follow(self, window: Values, predicted: Sync) -> Sync:
        """Where the burst is, found or predicted; brings the burst clock forward by one slot."""
        assert self._due is not None
        sync = self._trusted(refine(window, self.format, predicted))
        if sync.detected:
            self.found += 1
            self._misses = self._unsearched = 0
            late, turn = sync.start - predicted.start, sync.cfo - predicted.cfo
            self._due += POSITION_GAIN * late
            self._period += RATE_GAIN * late
            self._cfo += POSITION_GAIN * turn
            self._cfo_rate += RATE_GAIN * turn
        else:
            self.missed += 1
            self._misses += 1
            self._unsearched += 1
            sync = replace(predicted, metric=sync.metric)
        self._due += self._period
        self._cfo += self._cfo_rate
        if self._misses >= GIVE_UP:
            self._forget()
        return sync

    def _trusted(self, sync: Sync) -> Sync:
        """A detection only where the channels would do if all of them carried the same.

        The metric counts channels as independent, as noise is. A burst at another place than the one looked
        at is not: through one transmitter it looks the same on all of them.
        """
        enough = sync.metric >= self.channels * -np.log(STRICT)
        return sync if enough or self.channels == 1 else replace(sync, detected=False)

    def _acquire(self) -> bool:
        """Look for a preamble in all that is there; True once there is a burst clock."""
        need = self.format.slot + self.width
        while self._base is not None and len(self._buffer) >= need:
            sync = synchronise(
                self._buffer[:need].T,
                self.format,
                self.false_alarm,
                self._head,
                self._head + self.format.slot,
            )
            if sync.detected:
                self._due = self._base + sync.start
                self._cfo = sync.cfo
                return True
            self._drop_before(self._base + self.format.slot)
        return False

    def _search_slot(self) -> int | None:
        """Look around the due time for a burst that comes at another: by how many samples it moved.

        Slots look alike: the answer is modulo a slot, in the half to either side of 0.

        None when not all of the samples are there yet.
        """
        assert self._base is not None
        assert self._due is not None
        low = max(self._base, round(self._due) - self._head - self.format.slot // 2)
        need = self.format.slot + self.width
        if low + need > self._base + len(self._buffer):
            return None
        part = self._buffer[low - self._base : low - self._base + need].T
        sync = self._trusted(
            synchronise(part, self.format, STRICT, self._head, self._head + self.format.slot)
        )
        if not sync.detected:
            return 0
        half = self.format.slot // 2
        moved = (round(low + sync.start - self._due) + half) % self.format.slot - half
        if abs(moved) <= 2:
            return 0
        self.slips += 1
        self.slipped += abs(moved)
        self._due, self._period = low + sync.start, float(self.format.slot)
        self._cfo, self._cfo_rate = sync.cfo, 0.0
        return moved

    def _drop_before(self, tick: int) -> None:
        """Forget the samples before a tick."""
        assert self._base is not None
        cut = min(max(tick - self._base, 0), len(self._buffer))
        self._buffer = self._buffer[cut:]
        self._low += cut
        self._base += cut
        self._holes = [hole for hole in self._holes if hole[1] > self._base]

    def flush(self) -> list[FoundBurst]:
        """The bursts whose samples are not all there at the end of the stream: padded with zeros."""
        if self._base is None:
            return []
        bursts = self.push(
            np.zeros((self.channels, self.width), np.complex64), self._base + len(self._buffer)
        )
        bursts, self._waiting = bursts + self._waiting, []
        return bursts
