"""Repetition on request: a sender and a receiver of a file as state machines in virtual time.

Time is counted in slots; a slot carries one burst. The sender sends the bursts of its file in their order,
each under its number, a repeated one under the same number with the flag REPEAT. The receiver reports, over a
return path that may lose reports too:

    slot       the slot up to which it has listened
    base       the first group of blocks that is not decoded yet
    missing    numbers of bursts that it needs, as few as will do, with a share more for expected losses
    complete   whether it has the whole file
    refused    why it cannot receive the file ("" if it can)

The sender repeats what is missing, but nothing that it has sent after `slot`: that may be on its way. New
bursts are sent up to `window` groups beyond `base`, which bounds what both sides keep, and none of groups
before it: where little is lost, most of the parity is never sent. When the sender has nothing to send, its
last burst asks (flag ASK) for a report about the whole window; after `timeout` slots without an answer it
asks again with a repeated burst, and after `patience` such questions in a row it gives up.

In the end the receiver says `complete`, the sender answers with a burst that is flagged END, again for every
further such report, and is done after three `timeout` of silence. The receiver is done when it has
heard END, or has reported FAREWELLS times without hearing it: the file is complete either way. A receiver
that hears nothing for `patience` reports gives up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntFlag
from typing import Any

from isac_models.coding.file_code import LARGEST, FileDecoder, FileEncoder
from isac_models.errors import UserError

MAX_NAMED = 2048
"""Bursts that a report names at most."""
FAREWELLS = 10
"""Reports of a complete file that a receiver sends at most."""


class BurstFlag(IntFlag):
    """The eight flags of a burst's header, as a file transfer uses them."""

    NONE = 0
    REPEAT = 1
    """This number has been sent before."""
    ASK = 2
    """Report at once; everything within the window has been sent."""
    END = 4
    """The sender knows that the file is complete; the payload is that of any burst."""
    FILL = 8
    """Nothing: the payload means nothing, the burst only keeps time."""


@dataclass(frozen=True)
class Timing:
    """Slots and counts of the protocol, the same on both sides.

    `window` groups are under way at most. `interval` slots lie between two reports at most, `round_trip` is
    how long a burst and the report on it take, for reports without a slot. `timeout` slots without
    news make the sender ask; `patience` questions or reports without an answer end the transfer.
    Raises UserError for values below 1 and for a timeout shorter than the round trip.
    """

    window: int = 4
    interval: int = 32
    round_trip: int = 16
    timeout: int = 48
    patience: int = 50

    def __post_init__(self) -> None:
        for name in ("window", "interval", "round_trip", "timeout", "patience"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.timeout < self.round_trip:
            raise UserError(f"timeout {self.timeout} must not be shorter than round_trip {self.round_trip}")


@dataclass(frozen=True)
class Burst:
    """What a slot carries: number, flags and payload."""

    number: int
    flags: BurstFlag
    payload: bytes


class Sender:
    """Sends a file slot by slot: `next` gives the burst of a slot, `receive` takes a report.

    `state` is "sending", "closing" (the file has arrived), "done" or "failed"; `reason` says why it failed.
    """

    def __init__(self, encoder: FileEncoder, timing: Timing | None = None) -> None:
        self.encoder, self.timing = encoder, timing or Timing()
        self.state, self.reason = "sending", ""
        self.bursts = self.repeats = self.slots = self.reports = 0
        self._layout = encoder.layout
        self._new = 0  # the first number that was never sent
        self._base = 0
        self._queue: deque[int] = deque()
        self._queued: set[int] = set()
        self._sent_at: dict[int, int] = {}  # of the window's numbers
        self._asked = 0  # questions in a row without an answer
        self._probe = False
        self._ends = 0
        self._quiet_since = -1

    @property
    def finished(self) -> bool:
        """Whether nothing more will be sent."""
        return self.state in ("done", "failed")

    def next(self, slot: int) -> Burst | None:
        """The burst of the slot `slot`, None for silence; slots are asked for in rising order."""
        if self.finished:
            return None
        if self._quiet_since < 0:
            self._quiet_since = slot
        if self.state == "closing":
            return self._close(slot)
        self.slots += 1
        end = self._layout.end(self._base + self.timing.window - 1)
        number: int | None = None
        flags = BurstFlag.NONE
        if self._queue:
            number, flags = self._queue.popleft(), BurstFlag.REPEAT
            self._queued.discard(number)
        elif self._new < end:
            number, self._new = self._new, self._new + 1
        elif self._probe or slot - self._quiet_since >= self.timing.timeout:
            if self._asked >= self.timing.patience:
                self.state, self.reason = "failed", f"no answer to {self._asked} questions in a row"
                return None
            number, flags = self._oldest(), BurstFlag.REPEAT
            self._asked += 1
        if number is None:
            return None
        if not self._queue and self._new >= end:
            flags |= BurstFlag.ASK
        self._probe = False
        self._quiet_since = self._sent_at[number] = slot
        return self._burst(number, flags)

    def receive(self, report: Mapping[str, Any], slot: int) -> None:
        """Take an untrusted report at the slot `slot`; what cannot be one is ignored."""
        base, missing = report.get("base"), report.get("missing")
        heard = report.get("slot")
        if type(base) is not int or not isinstance(missing, list | tuple) or len(missing) > MAX_NAMED:
            return
        if self.finished or not 0 <= base <= self._layout.groups:
            return
        self.reports += 1
        self._quiet_since, self._asked = slot, 0
        refused = report.get("refused")
        if isinstance(refused, str) and refused:
            self.state, self.reason = "failed", " ".join(refused.split())[:200]
            return
        if report.get("complete") is True:
            self.state, self._ends = "closing", 1 if self.state == "closing" else 2
            return
        self._forget(base)
        before = heard if type(heard) is int else slot - self.timing.round_trip
        for number in missing:
            known = type(number) is int and 0 <= number < self._new and number not in self._queued
            if known and self._sent_at.get(number, before + 1) <= before:
                self._queue.append(number)
                self._queued.add(number)
        idle = not self._queue and self._new >= self._layout.end(self._base + self.timing.window - 1)
        if idle and self._sent_at and max(self._sent_at.values()) <= before:
            self._probe = True  # everything was heard, and still it is not complete: ask about all of it

    def statistics(self) -> dict[str, Any]:
        """Bursts and repeats so far, slots until the file had arrived, and file bits a slot."""
        bits = 8 * len(self.encoder.content)
        return {
            "state": self.state,
            "reason": self.reason,
            "bursts": self.bursts,
            "repeats": self.repeats,
            "slots": self.slots,
            "reports": self.reports,
            "file_bits_per_slot": bits / self.slots if self.slots else 0.0,
        }

    def _close(self, slot: int) -> Burst | None:
        if self._ends:
            self._ends -= 1
            return self._burst(0, BurstFlag.END | BurstFlag.REPEAT)
        if slot - self._quiet_since >= 3 * self.timing.timeout:
            self.state = "done"
        return None

    def _burst(self, number: int, flags: BurstFlag) -> Burst:
        self.bursts += 1
        self.repeats += BurstFlag.REPEAT in flags and BurstFlag.END not in flags
        return Burst(number, flags, self.encoder.payload(number))

    def _oldest(self) -> int:
        """The number that was sent the longest time ago."""
        return min(self._sent_at, key=lambda number: (self._sent_at[number], number))

    def _forget(self, base: int) -> None:
        """Drop what lies before the first group that is not decoded."""
        if base <= self._base:
            return
        self._base = base
        first = self._layout.end(base - 1)
        self._new = max(self._new, first)
        self._sent_at = {number: slot for number, slot in self._sent_at.items() if number >= first}
        self._queue = deque(number for number in self._queue if number >= first)
        self._queued = set(self._queue)


class Receiver:
    """Receives a file slot by slot: `push` takes what a slot brought, `report` gives what to send back.

    `state` is "receiving", "complete" (waiting for END), "done" or "failed"; `reason` says why it failed.
    """

    def __init__(self, size: int = 60, timing: Timing | None = None, limit: int = LARGEST) -> None:
        self.timing = timing or Timing()
        self.decoder = FileDecoder(size, limit, self.timing.window)
        self.state, self.reason = "receiving", ""
        self.reports = 0
        self._slot = -1
        self._highest = -1
        self._ask = self._news = False
        self._last_report = -1
        self._farewells = self._unheard = 0
        self._heard = False
        self._sent_whole = 0  # groups of which every burst has been sent
        self._content: bytes | None = None

    @property
    def finished(self) -> bool:
        """Whether nothing more is waited for."""
        return self.state in ("done", "failed")

    def push(
        self, slot: int, number: int | None = None, flags: int = 0, payload: bytes | None = None
    ) -> None:
        """Take what the slot `slot` brought: a burst, or None for what of it was lost.

        A number without a payload is a burst whose header was read and whose payload was damaged.
        """
        self._slot = max(self._slot, slot)
        if self.finished:
            return
        if number is not None:
            self._heard, self._unheard = True, 0
        if number is not None and flags & BurstFlag.END and self.state == "complete":
            self.state = "done"
        if number is not None and flags & (BurstFlag.END | BurstFlag.FILL):
            return
        if number is not None:
            self._highest = max(self._highest, number)
            self._ask |= bool(flags & BurstFlag.ASK)
        before = self._base()
        self.decoder.push(number, payload)
        self._news |= self._base() > before
        if self.state == "receiving" and (self.decoder.complete or self.decoder.refused):
            self._content = self.decoder.content()
            self._ask = True
            if self._content is not None:
                self.state = "complete"
            else:
                self.reason = (
                    self.decoder.refused or "the checksum of the received file is not that of the sent"
                )

    def report(self, slot: int) -> dict[str, Any] | None:
        """What to tell the sender in this slot, None for nothing yet."""
        self._slot = max(self._slot, slot)
        if self.finished or not self._heard:
            return None
        if not (self._ask or self._news) and slot - self._last_report < self.timing.interval:
            return None
        asked, self._ask, self._news = self._ask, False, False
        self._last_report = slot
        self.reports += 1
        self._unheard += 1
        if self._unheard > self.timing.patience and self.state == "receiving":
            self.reason = f"nothing was heard during {self.timing.patience} reports"
        missing = [] if self.state == "complete" or self.reason else self._missing(asked)
        message = {
            "slot": self._slot,
            "base": self._base(),
            "missing": missing[:MAX_NAMED],
            "complete": self.state == "complete",
            "refused": self.reason,
        }
        if self.state == "complete" or self.reason:
            self._farewells += 1
            if self._farewells >= FAREWELLS or self.reason:
                self.state = "failed" if self.reason else "done"
        return message

    def content(self) -> bytes | None:
        """The file, once it is complete and its checksum right."""
        return self._content

    @property
    def name(self) -> str:
        """The name that the file was sent under, without folders; "" before it is known."""
        return self.decoder.header.name if self.decoder.header else ""

    def statistics(self) -> dict[str, Any]:
        """Bursts received, lost, recovered, reports so far, and the share of slots that was lost."""
        progress = self.decoder.progress
        return {
            "state": self.state,
            "reason": self.reason,
            "bytes": self.decoder.header.length if self.decoder.header else None,
            "reports": self.reports,
            **vars(progress),
            "loss": self._loss(),
        }

    def _base(self) -> int:
        layout, first = self.decoder.layout, self.decoder.first_open
        return layout.groups if self.decoder.complete else layout.group(min(first, layout.blocks - 1))

    def _missing(self, asked: bool) -> list[int]:
        """What to ask for: of groups that have been sent whole, when the sender asks of the whole window."""
        layout, base = self.decoder.layout, self._base()
        while self._sent_whole < layout.groups and layout.end(self._sent_whole) <= self._highest + 1:
            self._sent_whole += 1
        if asked and self.decoder.header is not None:
            self._sent_whole = max(self._sent_whole, min(base + self.timing.window, layout.groups))
        groups = base + self.timing.window if asked else self._sent_whole
        return self.decoder.missing(groups, 1 / (1 - self._loss()) - 1)

    def _loss(self) -> float:
        """Share of the bursts that were lost so far, at most 3/4."""
        progress = self.decoder.progress
        seen = progress.received + progress.lost
        return min(progress.lost / seen, 0.75) if seen else 0.0
