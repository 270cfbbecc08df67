"""Whatever is done to a log between two looks, each line is counted once."""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.logs.follow import Follower
from agent.logs.place import Places

KEEP = 3


class Rotation(RuleBasedStateMachine):
    """A program that writes a log, one that rotates it in every way, and a follower that is new for each look.

    Every line is unique. The model knows which lines no file holds any more although nobody looked: only those may be
    missing, and then the follower must have said so.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.log = self.folder / "app.log"
        self.number = 0
        self.partial = b""
        self.written: set[bytes] = set()
        self.seen: Counter[bytes] = Counter()
        self.destroyed: set[bytes] = set()
        self.must_be_said = False
        self.losses = 0
        self.copying: tuple[Path, int] | None = None
        self.places = b""

    def teardown(self) -> None:
        self.finish_copy()
        self.finish_line()
        for _ in range(2):
            self.look(1 << 30)
        try:
            repeated = [line for line, count in self.seen.items() if count > 1]
            assert not repeated
            assert set(self.seen) <= self.written
            missing = self.written - set(self.seen)
            assert missing <= self.destroyed
            assert self.losses or not self.must_be_said
        finally:
            shutil.rmtree(self.folder)

    def pieces(self) -> list[Path]:
        return [self.folder / f"app.log.{number}" for number in range(1, KEEP + 1)]

    def line(self) -> bytes:
        self.number += 1
        return b"line %d %s" % (self.number, b"x" * (self.number * 7 % 40))

    def append(self, data: bytes) -> None:
        with self.log.open("ab") as file:
            file.write(data)

    def unseen_in(self, path: Path) -> set[bytes]:
        return {line for line in path.read_bytes().split(b"\n")[:-1] if line in self.written and not self.seen[line]}

    def destroy(self, path: Path) -> None:
        """Note what goes away with this file, unless another one still has it."""
        gone = self.unseen_in(path)
        for other in self.folder.iterdir():
            if other != path and not other.name.endswith(".gz"):
                gone -= self.unseen_in(other)
        self.destroyed |= gone
        # Of a file of which nothing was read, or that nobody saw, it cannot be known that there was something.
        self.must_be_said |= bool(gone) and any(self.seen[line] for line in path.read_bytes().split(b"\n"))

    @initialize(old=st.booleans())
    def begin(self, old: bool) -> None:
        """Lines from before anybody asked are nobody's."""
        self.log.write_bytes(b"old\n" * old)
        self.look(1 << 30)
        self.seen.clear()

    @rule(count=st.integers(1, 12))
    def write(self, count: int) -> None:
        for _ in range(count):
            self.partial += (rest := self.line())
            self.append(rest)
            self.finish_line()

    @rule()
    @precondition(lambda self: self.copying is None)
    def rotate(self) -> None:
        """Rename and create: the program reopens its log."""
        self.finish_line()
        self.shift()
        self.log.rename(self.pieces()[0])
        self.log.touch()

    @rule()
    @precondition(lambda self: self.copying is None)
    def begin_copytruncate(self) -> None:
        """The copy may be looked at half done."""
        self.finish_line()
        self.shift()
        size = self.log.stat().st_size
        self.pieces()[0].write_bytes(self.log.read_bytes()[: size // 2])
        self.copying = self.pieces()[0], size // 2

    @rule()
    @precondition(lambda self: self.copying is not None)
    def copy_on(self) -> None:
        assert self.copying is not None
        path, _ = self.copying
        path.write_bytes(self.log.read_bytes())

    @rule()
    @precondition(lambda self: self.copying is not None)
    def finish_copy(self) -> None:
        if self.copying is None:
            return
        self.finish_line()
        path, _ = self.copying
        with path.open("r+b") as file:
            file.write(self.log.read_bytes())
        os.truncate(self.log, 0)
        self.copying = None

    @rule()
    @precondition(lambda self: self.copying is None)
    def truncate(self) -> None:
        """Lines that nobody read go with it."""
        self.finish_line()
        self.destroy(self.log)
        os.truncate(self.log, 0)

    @rule(number=st.integers(0, KEEP - 1))
    @precondition(lambda self: self.copying is None)
    def compress(self, number: int) -> None:
        """What was not read of a piece is in an archive, which is not read, but seen."""
        piece = self.pieces()[number]
        if piece.exists():
            unseen = self.unseen_in(piece)
            self.destroy(piece)
            self.must_be_said |= bool(unseen & self.destroyed)
            self.number += 1
            archive = self.folder / f"app.log-{self.number}.gz"
            archive.write_bytes(gzip.compress(piece.read_bytes()))
            shutil.copystat(piece, archive)
            piece.unlink()

    @rule()
    @precondition(lambda self: self.copying is None)
    def go_away_and_come_back(self) -> None:
        self.log.rename(self.folder / "hidden")
        self.look(1 << 30)
        (self.folder / "hidden").rename(self.log)

    @rule()
    @precondition(lambda self: self.copying is None)
    def move_to_another_device(self) -> None:
        """As after a boot that numbered devices anew: the same content under another inode."""
        copy = self.folder / "hidden"
        shutil.copyfile(self.log, copy)
        copy.rename(self.log)

    @rule()
    def write_part_of_a_line(self) -> None:
        part = self.line()
        self.partial += part
        self.append(part)

    @rule(most=st.sampled_from([1, 100, 400, 1 << 30]))
    def look(self, most: int) -> None:
        remembered = msgspec.convert(msgspec.msgpack.decode(self.places), Places) if self.places else Places()
        follower = Follower(remembered, [str(self.log)], now=time.time(), longest=4000)
        for _, lines in follower.read(most, lambda: False):
            self.seen.update(lines)
        assert not follower.troubles
        self.losses += len(follower.losses)
        self.places = msgspec.msgpack.encode(follower.places)

    @invariant()
    def no_line_is_counted_twice(self) -> None:
        assert all(count == 1 for count in self.seen.values())

    def finish_line(self) -> None:
        if self.partial:
            self.append(b"\n")
            self.written.add(self.partial)
            self.partial = b""

    def shift(self) -> None:
        pieces = self.pieces()
        if pieces[-1].exists():
            self.destroy(pieces[-1])
            pieces[-1].unlink()
        for older, newer in zip(reversed(pieces), reversed(pieces[:-1]), strict=False):
            if newer.exists():
                newer.rename(older)


TestRotation = Rotation.TestCase
TestRotation.settings = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
