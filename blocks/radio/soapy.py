"""A radio through SoapySDR: any device that has a driver for it, with the timestamps that it gives.

Time is the device's, in nanoseconds; ticks are samples of it. A device without hardware time counts its
samples instead, and cannot send at a time. What a transmitter reports comes by readStreamStatus, what a
receiver has lost by SOAPY_SDR_OVERFLOW and, how much, by its timestamps.
"""

from __future__ import annotations

import threading
import time as clock
from collections import deque

import numpy as np

from blocks.radio import soapy_device as soapy
from blocks.radio.interface import (
    TIMEOUT,
    Event,
    EventKind,
    RadioError,
    RadioTimeout,
    Received,
    check_samples,
)
from blocks.radio.reception import Reception
from blocks.radio.soapy_bursts import Bursts
from blocks.radio.soapy_device import SoapyDevice
from blocks.radio.soapy_settings import SoapySettings, declare
from blocks.radio.tick_clock import TickClock

MOST_EVENTS = 10_000
SLICE = 0.05  # seconds that a call of the device waits at once: others want to be let in
YIELD = 1e-3  # seconds that a send that waits for room lets others in
RETRY = 0.1  # seconds between attempts to reach a device that is gone


class SoapyRadio(SoapySettings):
    """The device that SoapySDR finds for `args` ("driver=…,key=value"), or, where that is empty, the first.

    `tx_channels`, `rx_channels`: how many are used, from 0 on (None: all). `rate` (samples/s),
    `clock_source`, `time_source`: None leaves them as they are. `phase_coherent`: whether the channels are;
    None asks the driver. `lead`: ticks that a burst needs to reach the device in time; None: 10 ms, none
    where time is virtual.

    When a device is lost, `recv` and `send` try to reach it again until their timeout. Its time may then
    begin anew: ticks go on from a later multiple of `grid`, with SEQUENCE_GAP and Flag.GAP. Settings are
    made again; a calibration does not hold any more. A loss that a driver without time tells of is such a
    gap too, whatever was lost. A send that a restart interrupts begins again, unless its burst was told to
    be late meanwhile; of a burst in pieces the rest is dropped.

    Raises RadioError for a device that is not there, lacks channels, or cannot be set so.
    """

    def __init__(
        self,
        args: str = "",
        *,
        tx_channels: int | None = None,
        rx_channels: int | None = None,
        rate: float | None = None,
        clock_source: str | None = None,
        time_source: str | None = None,
        phase_coherent: bool | None = None,
        lead: int | None = None,
        grid: int = 1280,
    ) -> None:
        if grid < 1 or (lead is not None and lead < 0):
            raise RadioError("grid must be at least 1, and lead at least 0 ticks")
        self._args, self._grid, self.device = args, grid, f"soapy:{args}"
        device = SoapyDevice(args, tx_channels, rx_channels)
        try:
            super().__init__(device, rate, clock_source, time_source)
        except BaseException:
            device.close()
            raise
        self.capabilities = declare(device, self._clock.rate, phase_coherent, lead)
        self._base = 0  # tick of the radio at tick 0 of the device
        self._seen = 0  # the latest tick that is known to have been
        self._lost = ""  # why the device is gone
        self._events: deque[Event] = deque(maxlen=MOST_EVENTS)
        self._reception, self._bursts = Reception(self._events, grid), Bursts(self._events)

    # Sending ----------------------------------------------------------------------------------

    def send(
        self, samples: np.ndarray, time: int | None, start_of_burst: bool, end_of_burst: bool, timeout: float
    ) -> None:
        """See `Transmitter.send`."""
        check_samples(samples, self.capabilities.tx_channels)
        if time is not None and not self.capabilities.timed_transmit:
            raise RadioError("send: the device has no hardware time: send without a time")
        deadline = clock.monotonic() + timeout
        rows = np.ascontiguousarray(samples)
        while True:
            self._revive(deadline)
            with self._tx_lock:
                self._check_open()
                if self._lost:
                    raise RadioTimeout(f"send: no device within {timeout:g} s: {self._lost}")
                if self._bursts.skips(start_of_burst, end_of_burst):
                    return
                burst = None
                try:
                    self._collect()
                    if start_of_burst and self._bursts.open:
                        self._device.write(rows[:, :0], None, True, 0)
                    at = self._when(time, start_of_burst)
                    burst = self._bursts.begin(at, rows.shape[1], start_of_burst, end_of_burst)
                    if at is not None and at < self._base:  # before the device's time began
                        self._bursts.missed(at)
                        return
                    done = self._write(rows, at, end_of_burst, deadline)
                except RadioError:
                    if not (self._gone() and start_of_burst) or clock.monotonic() >= deadline:
                        raise
                    # It is sent whole once the device is back: what was taken is lost with it.
                    if burst is not None and not self._bursts.cut(burst, rows.shape[1], over=True):
                        return  # but for one that was told to be late meanwhile
                    continue
                if done < rows.shape[1]:
                    self._bursts.cut(burst, rows.shape[1] - done, over=not done and start_of_burst)
                    raise RadioTimeout(
                        f"send: the device's queue stayed full for {timeout:g} s, {done} of {rows.shape[1]} "
                        "samples were taken: receive, so that time goes on"
                    )
                return

    def _write(self, rows: np.ndarray, time: int | None, end: bool, deadline: float) -> int:
        """How many samples the device took, or told to be late."""
        done, starved, device = 0, False, self._device
        ns = None if time is None else self._clock.nanoseconds(time - self._base)
        while done < rows.shape[1]:
            left = deadline - clock.monotonic()
            piece = np.ascontiguousarray(rows[:, done:])
            found = self._device.write(piece, None if done else ns, end, min(max(left, 0), SLICE))
            if found.code > 0:
                done, starved = done + found.code, False
            elif found.code == soapy.UNDERFLOW and not starved:
                self._events.append(Event(EventKind.UNDERFLOW, detail="told by writeStream"))
                starved = True
            elif found.code in (0, soapy.TIMEOUT, soapy.UNDERFLOW):
                if left <= 0:
                    break
                self._tx_lock.release()  # whoever receives, and so makes room, may need it
                try:
                    clock.sleep(YIELD)
                finally:
                    self._tx_lock.acquire()
                if self._device is not device:  # another one meanwhile, and this burst told to be late
                    return int(rows.shape[1])
            elif found.code == soapy.TIME_ERROR:
                self._bursts.late(time)
                return int(rows.shape[1])
            else:
                self._lost = f"{self.device}: {self._device.says(found.code)} while sending"
                raise RadioError(f"{self._lost}: what was queued is lost")
        return done

    def _when(self, time: int | None, start_of_burst: bool) -> int | None:
        """The tick to send at; None: behind what was sent last, as far as the device can tell."""
        if time is None:
            if not (start_of_burst and self.capabilities.timed_transmit):
                return None
            now = self._now()
            if self._bursts.end > now or self.capabilities.virtual_time:
                return max(self._bursts.end, now)
            return None
        if time < 0:
            raise RadioError(f"send: tick {time} is before the beginning of time")
        if time < self._bursts.end and time >= self._now():
            raise RadioError(
                f"send: tick {time} is taken by what was queued before, up to tick {self._bursts.end}: "
                "queue bursts in order, without overlap"
            )
        return time

    def _collect(self) -> None:
        """Ask the transmitter what has happened; `_tx_lock` is held."""
        if not self._device.tells or self._lost:
            return
        for _ in range(MOST_EVENTS):
            found = self._device.status()
            tick = None if found.time is None else self._clock.tick(found.time) + self._base
            if tick is not None and found.code >= 0:  # a burst that has left
                self._seen = max(self._seen, tick)
            if not self._bursts.hear(found, tick):
                return  # nothing more, or nobody there: recv and send find out

    def events(self) -> list[Event]:
        """What has happened since the last call, oldest first; at most the last MOST_EVENTS."""
        # Not while a send waits for room: it may wait for whoever asks here to receive.
        if self._tx_lock.acquire(blocking=False):
            try:
                if not self._closed:
                    self._collect()
            finally:
                self._tx_lock.release()
        found = []
        while self._events:
            found.append(self._events.popleft())
        return found

    # Receiving --------------------------------------------------------------------------------

    def start(self, time: int | None, n: int | None) -> None:
        """See `Receiver.start`. Raises RadioError when the reference clock is not locked, too."""
        if n is not None and n < 1:
            raise RadioError(f"start: n must be at least 1, not {n}")
        if not self.capabilities.rx_channels:
            raise RadioError("start: this radio has no receive channels")
        if time is not None and not self.capabilities.timestamps:
            raise RadioError("start: the device has no hardware time: start without a time")
        deadline = clock.monotonic() + TIMEOUT
        while True:
            self._revive(deadline)
            with self._tx_lock, self._rx_lock:
                self._check_open()
                if self._lost:
                    raise RadioTimeout(f"start: no device within {TIMEOUT:g} s: {self._lost}")
                try:
                    self._begin(time, n)
                    return
                except RadioError:
                    if not self._gone() or clock.monotonic() >= deadline:
                        raise

    def _begin(self, time: int | None, n: int | None) -> None:
        """Begin a reception; locks are held."""
        now = self._now()
        if not self._device.locked():
            raise RadioError(
                f"{self.device}: the reference clock is not locked: connect it, or choose another source"
            )
        if time is not None and time < now:
            raise RadioError(f"start: tick {time} has passed, the next is {now}: choose a later one")
        if self._reception.receiving:
            self._reception.receiving = False
            self._device.stop()
        self._activate(time, n)
        self._reception.start(time, n)

    def _activate(self, time: int | None, n: int | None) -> None:
        """Begin the stream; locks are held."""
        ns = None if time is None else self._clock.nanoseconds(time - self._base)
        code = self._device.start(ns, n or 0)
        if code == soapy.NOT_SUPPORTED and n:  # a burst cannot be asked for: the end is ours to count
            code = self._device.start(ns, 0)
        self._latched = False
        if code == soapy.TIME_ERROR:
            raise RadioError(f"start: tick {time} has passed: choose a later one")
        if code < 0:
            raise RadioError(f"start: {self.device} does not begin to receive: {self._device.says(code)}")

    def recv(self, most: int, timeout: float) -> Received:
        """See `Receiver.recv`."""
        if most < 1:
            raise RadioError(f"recv: most must be at least 1, not {most}")
        deadline = clock.monotonic() + timeout
        while True:
            with self._rx_lock:
                self._check_open()
                found = self._reception.take(most)
                if found is None and not self._lost:
                    self._read(most, min(max(deadline - clock.monotonic(), 0), SLICE))
                    found = self._reception.take(most)
                if found is not None:
                    if not self._reception.receiving and not self._lost:
                        self._device.stop()
                    return found
            self._revive(deadline)
            if clock.monotonic() >= deadline:
                why = "the device gives nothing: is time standing still, or the start far ahead?"
                raise RadioTimeout(f"no samples within {timeout:g} s: {self._lost or why}")

    def _read(self, most: int, seconds: float) -> None:
        """Ask the device once; `_rx_lock` is held."""
        want = self._reception.want(most)
        into = np.empty((self.capabilities.rx_channels, want), np.complex64)
        found = self._device.read(into, seconds)
        if found.code > 0:
            tick = None
            if found.time is not None and self.capabilities.timestamps:
                if not self._latched:
                    self._clock.latch(found.time)
                    self._latched = True
                tick = self._clock.tick(found.time) + self._base
            count = found.code
            self._reception.put(into if count == want else into[:, :count].copy(), tick)
            self._seen = max(self._seen, self._reception.next or 0)
        elif found.code == soapy.OVERFLOW:
            self._reception.missed(EventKind.OVERFLOW, "told by readStream")
        elif found.code == soapy.CORRUPTION:
            self._reception.missed(EventKind.SEQUENCE_GAP, "corrupted samples, told by readStream")
        elif found.code == soapy.TIME_ERROR:
            self._reception.end("its time had passed when it reached the device")
        elif found.code not in (0, soapy.TIMEOUT):
            self._lost = f"{self.device}: {self._device.says(found.code)} while receiving"
            return
        if found.code >= 0 and found.ended:
            self._reception.end("the device ended it")

    def stop(self) -> None:
        """See `Receiver.stop`."""
        with self._rx_lock:
            if self._reception.receiving:
                self._reception.receiving = False
                if not self._closed and not self._lost:
                    self._device.stop()

    # A device that is gone ---------------------------------------------------------------------

    def _revive(self, deadline: float) -> None:
        """Reach a lost device again, if it is; returns when it is there, or the deadline has come.

        Raises RadioError for a device that came back as another one.
        """
        while self._gone():
            with self._tx_lock, self._rx_lock:
                if not self._gone() or self._reopen():
                    return
            left = deadline - clock.monotonic()
            if left <= 0:
                return
            threading.Event().wait(min(RETRY, left))

    def _gone(self) -> bool:
        return bool(self._lost) and not self._closed

    def _reopen(self) -> bool:
        """Whether the device is there again; both locks are held."""
        counts = self._device.channels
        self._device.close()
        try:
            device = SoapyDevice(self._args, counts["tx"], counts["rx"])
        except RadioError as error:
            self._lost = str(error)
            return False
        self._device, why = device, f"the connection was lost ({self._lost})"
        try:
            self._restore()
            now = self._clock.tick(device.now()) if self.capabilities.timestamps else 0
            if now + self._base < self._seen or not self.capabilities.timestamps:
                self._base = ((self._seen - now) // self._grid + 1) * self._grid  # later: a gap, always
                why = f"the device began anew ({self._lost})"
            now += self._base
            self._seen = max(self._seen, now)
            self._bursts.forget(now)
            if self._reception.receiving:
                left = self._reception.resume(now, why)
                ahead = self._reception.next
                if left != 0:
                    self._activate(ahead if ahead is not None and ahead > now else None, left)
            else:
                self._events.append(Event(EventKind.SEQUENCE_GAP, now, 0, why))
                self._reception.go_on(now)
        except RadioError as error:
            self._lost = str(error)
            return False
        self._lost = ""
        return True

    # Time -------------------------------------------------------------------------------------

    def set_rate(self, rate: float) -> float:
        """Set samples/s of all channels; returns the actual value. Ticks are counted by the new rate."""
        with self._tx_lock, self._rx_lock:
            self._check_open()
            if self._reception.receiving:
                raise RadioError("set_rate: a reception is on: stop it first")
            self._clock = TickClock(self._device.set_rate(rate))
            self._base = self._seen = 0
            self._reception.go_on(0)
            self._bursts.forget(0)
            return self._clock.rate

    def now(self) -> int:
        """The tick that the device is at; without hardware time the next one to be received."""
        with self._tx_lock:
            self._check_open()
            return self._now()

    def _now(self) -> int:
        if self.capabilities.timestamps:
            try:
                self._seen = max(self._seen, self._clock.tick(self._device.now()) + self._base)
            except RadioError as error:
                self._lost = str(error)
                raise
        return self._seen

    def close(self) -> None:
        """Stop and let go of the device. May be called twice."""
        with self._tx_lock, self._rx_lock:
            if not self._closed:
                self._closed = True
                self._reception.receiving = False
                self._device.close()
