"""Segment files of one kind of lane: preallocated, written by one thread, durable after each group (fdatasync).

Leaves to the spool which segments may go. Preallocation makes a write change no file size, so fdatasync has one journal less to wait for.
"""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from edge.durable import make_folder, sync_folder
from edge.spool.frame import Damage, Found, Frame, FrameError, decode, encode, first_of, scan, sealed_bytes
from edge.spool.keys import KeyRing, Seals

SUFFIX = ".seg"
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_SPARE = "spare"
_PART_BYTES, _BLOCK_BYTES = 1 << 20, 4096


@dataclass(slots=True)
class Segment:
    """What is known of one file: `spans` holds the first and last n of each lane, `used` the bytes behind the last frame."""

    number: int
    size: int
    used: int = 0
    newest_ns: int = 0
    spans: dict[int, tuple[int, int]] = field(default_factory=dict[int, tuple[int, int]])

    def note(self, frame: Frame, end: int) -> None:
        """Take a frame that was written or found into account."""
        self.used = max(self.used, end)
        self.newest_ns = max(self.newest_ns, frame.closed_ns)
        if not frame.is_hole:
            first, last = self.spans.get(frame.lane, (frame.n, frame.n))
            self.spans[frame.lane] = (min(first, frame.n), max(last, frame.n))


@dataclass(frozen=True, slots=True)
class Spare:
    """An empty segment that is kept ready: taken `first`, so that no allocation is waited for, or only when the disk is full."""

    size: int = 0
    first: bool = False


@dataclass(frozen=True, slots=True)
class Location:
    """Where a frame lies."""

    segment: int
    offset: int
    size: int


def segment_files(directory: Path) -> dict[int, Path]:
    """The segments of a directory by number."""
    found = sorted(directory.glob(f"*{SUFFIX}"))
    return {int(path.stem): path for path in found if path.stem.isdecimal()}


def read_what_can_be(path: Path) -> bytes:
    """A file, with zeros for the blocks that the medium refuses: those are damage, and the rest is kept. OSError for any other reason."""
    data = bytearray()
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        while len(data) < size:
            try:
                part = os.pread(file.fileno(), min(_PART_BYTES, size - len(data)), len(data))
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                part = _in_blocks(file.fileno(), len(data), min(_PART_BYTES, size - len(data)))
            if not part:
                break
            data += part
    return bytes(data)


def _in_blocks(fd: int, offset: int, size: int) -> bytes:
    data = bytearray()
    for at in range(offset, offset + size, _BLOCK_BYTES):
        most = min(_BLOCK_BYTES, offset + size - at)
        try:
            data += os.pread(fd, most, at).ljust(most, b"\0")
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            data += bytes(most)
    return bytes(data)


class SegmentLog:
    """The files `00000001.seg` ... of one directory. Appends come from one thread only; reads may come from any."""

    def __init__(
        self,
        directory: Path,
        key: int,
        epoch: bytes,
        ring: KeyRing,
        plain_until: int,
        segment_bytes: int,
        *,
        spare: Spare,
    ) -> None:
        """Open what is there; no segment is written yet.

        `key` is the number of this log, `plain_until` the last segment that may hold frames which are not sealed.
        """
        self.directory = directory
        self._key, self._epoch, self._ring, self._plain_until = key, epoch, ring, plain_until
        self._segment_bytes, self._spare = segment_bytes, spare
        self._halvings = 0  # of the size of the next segment
        self._fd = -1
        self._sealing: Seals | None = None
        make_folder(directory)
        place = directory / _SPARE
        # Noted, as what asks for it does so in the agent's loop, which a disk that stands still must not hold up.
        self._spare_bytes = place.stat().st_size if place.exists() else 0
        self.segments = {n: Segment(n, path.stat().st_size) for n, path in segment_files(directory).items()}
        self._highest = max(
            self.segments, default=0
        )  # no number comes again: the index may still speak of one that is gone

    @property
    def allocated(self) -> int:
        """Bytes on disk, the spare included."""
        return sum(s.size for s in list(self.segments.values())) + self._spare_bytes

    @property
    def current(self) -> int:
        """Number of the segment that is written to (0: none yet)."""
        return max(self.segments, default=0)

    @property
    def is_open(self) -> bool:
        """Whether the newest segment is written to."""
        return self._fd >= 0

    def in_order(self) -> list[Segment]:
        """The segments as they were begun."""
        return sorted(self.segments.values(), key=lambda s: s.number)

    def path(self, number: int) -> Path:
        """The file of a segment."""
        return self.directory / f"{number:08d}{SUFFIX}"

    def needs_segment(self, frame_bytes: int) -> bool:
        """Whether frames of so many bytes will begin a new segment."""
        return self._fd < 0 or self.segments[self.current].used + frame_bytes > self.segments[self.current].size

    def go_on(self) -> None:
        """Write on behind the last frame of the newest segment (its rest is known to be zeros).

        Not where that is sealed with another key: all frames of a segment have the same, so that its first tells which it needs.
        """
        if not self.current or self._fd >= 0:
            return
        first = first_of(self.content(self.current))
        if first is None or first[1] == self._ring.current.id:
            self._begin(self.current)

    def append(self, frames: Sequence[Frame]) -> list[Location]:
        """Write and make durable; OSError when the disk refuses (then none of the frames counts as written).

        A segment in which nothing counts then goes again: what is tried for hours may not take the disk.
        """
        first = self.current if self._fd >= 0 else self._highest + 1
        try:
            return self._append(frames)
        except OSError:
            self._remove_empty(first)
            raise

    def _append(self, frames: Sequence[Frame]) -> list[Location]:
        locations: list[Location] = []
        pending = bytearray()
        begin = self._position()
        for frame in frames:
            if self._fd < 0 or begin + len(pending) + sealed_bytes(frame) > self.segments[self.current].size:
                self._write(pending, begin)
                pending.clear()
                self._rotate(sealed_bytes(frame))
                begin = 0
            data = encode(frame, self._sealed())
            end = begin + len(pending) + len(data)
            locations.append(Location(self.current, end - len(data), len(data)))
            pending += data
        self._write(pending, begin)
        self._halvings = 0
        # Only now: what a refused write left in a segment lies again in the next, and is no part of this one.
        for frame, at in zip(frames, locations, strict=True):
            self.segments[at.segment].note(frame, at.offset + at.size)
        return locations

    def _remove_empty(self, first: int) -> None:
        """Those from `first` on that hold nothing and are not written to."""
        for number in [n for n, s in list(self.segments.items()) if n >= first and not s.used]:
            if number != self.current or self._fd < 0:
                with suppress(OSError):
                    self.delete(number)

    def read(self, location: Location) -> Found:
        """One frame; FrameError when its bytes are damaged, FileNotFoundError when the segment is gone."""
        with self.path(location.segment).open("rb", buffering=0) as file:
            data = os.pread(file.fileno(), location.size, location.offset)
        found = decode(data, 0, self._seals(location.segment))
        if found.size != location.size:
            msg = f"segment {location.segment}, byte {location.offset}: {found.size} bytes instead of {location.size}"
            raise FrameError(msg)
        return Found(found.frame, location.offset, found.size)

    def content(self, number: int) -> bytes:
        """A whole segment, as it lies on disk; zeros where the medium does not give it."""
        return read_what_can_be(self.path(number))

    def frames(self, number: int, begin: int = 0) -> Iterator[Found | Damage]:
        """What is in a segment from a byte on, in order, with the damage among it."""
        return scan(self.content(number), self._seals(number), begin)

    def delete(self, number: int) -> None:
        """Remove a segment that is not written to."""
        self.path(number).unlink(missing_ok=True)
        sync_folder(self.directory)
        self.segments.pop(number, None)

    def seal(self) -> None:
        """Write no more to the current segment: the next append begins a new one."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd, self._sealing = -1, None

    @property
    def has_spare(self) -> bool:
        """Whether the spare segment is ready, or none is wanted."""
        return not self._spare.size or bool(self._spare_bytes)

    def prepare_spare(self) -> None:
        """Have the spare segment ready; OSError when there is no room for it."""
        if not self.has_spare:
            self._allocate(self.directory / _SPARE, self._spare.size)
            self._spare_bytes = self._spare.size

    def shrink(self, frame_bytes: int) -> bool:
        """Have segments half as large until something is written, on a disk without room for whole ones; False when they are as small as may be.

        `frame_bytes`: of the largest frame that is to be written.
        """
        if self._segment_bytes >> self._halvings <= max(frame_bytes, _BLOCK_BYTES):
            return False
        self._halvings += 1
        return True

    def _position(self) -> int:
        return self.segments[self.current].used if self._fd >= 0 else 0

    def _write(self, data: bytearray, offset: int) -> None:
        if not data:
            return
        view = memoryview(bytes(data))
        try:
            while view:
                written = os.pwrite(self._fd, view, offset)
                view, offset = view[written:], offset + written
            os.fdatasync(self._fd)
        except OSError:
            self.seal()  # what the disk holds of this segment is not known any more
            raise

    def _rotate(self, at_least: int) -> None:
        self.seal()
        size = max(self._segment_bytes >> self._halvings, _BLOCK_BYTES, at_least)
        number = self._highest + 1
        fits = at_least <= self._spare_bytes
        if fits and self._spare.first:
            size = self._take_spare(number)
        else:
            try:
                self._allocate(self.path(number), size)
            except OSError as error:
                if error.errno not in FULL or not fits:
                    raise
                size = self._take_spare(number)
        sync_folder(self.directory)
        self._begin(number)
        self._highest = number
        self.segments[number] = Segment(number, size)

    def _take_spare(self, number: int) -> int:
        size = self._spare_bytes
        try:
            (self.directory / _SPARE).rename(self.path(number))
        finally:
            self._spare_bytes = 0  # if it is not there, it is made anew
        return size

    def _begin(self, number: int) -> None:
        self._fd = os.open(self.path(number), os.O_WRONLY)
        self._sealing = self._seals(number)

    def _sealed(self) -> Seals:
        if self._sealing is None:
            msg = f"{self.directory}: no segment is written to"
            raise OSError(msg)
        return self._sealing

    def _seals(self, number: int) -> Seals:
        return self._ring.at(self._epoch, self._key, number, plain=number <= self._plain_until)

    def _allocate(self, path: Path, size: int) -> None:
        partial = path.with_suffix(".new")
        fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.posix_fallocate(fd, 0, size)
            os.fsync(fd)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
        finally:
            os.close(fd)
        partial.rename(path)
