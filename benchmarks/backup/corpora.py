"""What is backed up. Every corpus is the same each time: its randomness is seeded."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

MIB = 1 << 20
_WORDS = [f"{word}{number}" for word in ("get", "post", "user", "order", "cache", "index") for number in range(400)]


def half_compressible(path: Path, size: int) -> None:
    """One file in which blocks of 64 KiB of random bytes and of text take turns."""
    source = random.Random(1)
    with _new(path / "image") as file:
        for number in range(size // 65536):
            file.write(source.randbytes(65536) if number % 2 else _text(source, 65536))


def random_bytes(path: Path, size: int) -> None:
    """One file that nothing compresses."""
    source = random.Random(2)
    with _new(path / "random") as file:
        for _ in range(size // MIB):
            file.write(source.randbytes(MIB))


def log_text(path: Path, size: int) -> None:
    """Four logs of a web server."""
    for number in range(4):
        source = random.Random(30 + number)
        with _new(path / f"access.log.{number}") as file:
            second = 1_700_000_000
            while file.tell() < size // 4:
                lines = []
                for _ in range(2000):
                    second += source.randrange(2)
                    lines.append(
                        f"10.{source.randrange(4)}.{source.randrange(256)}.{source.randrange(256)} - - [{second}] "
                        f'"GET /{source.choice(_WORDS)}/{source.randrange(100_000)} HTTP/1.1" '
                        f'{source.choice((200, 200, 200, 304, 404, 500))} {source.randrange(20_000)} "-" '
                        f'"Mozilla/5.0 (X11; Linux x86_64) {source.choice(_WORDS)}" {source.random():.6f}\n'
                    )
                file.write("".join(lines).encode())


def small_files(path: Path, count: int) -> None:
    """A tree like a server's: 40 files a folder, sizes spread over four powers of ten, 18 KB on average."""
    source = random.Random(4)
    pool = source.randbytes(4 * MIB) + b"".join(_text(source, 65536) for _ in range(64))
    for number in range(count):
        folder = path / f"{number // 1600:03}" / f"{number // 40 % 40:02}"
        if number % 40 == 0:
            folder.mkdir(parents=True)
        size = min(int(source.lognormvariate(8.6, 1.5)), 400_000)
        start = source.randrange(len(pool) - size)
        with _new(folder / f"file-{number:06}.dat") as file:
            file.write(number.to_bytes(8, "big") + pool[start : start + size])


def change_one_percent(path: Path) -> None:
    """Every hundredth file gets other content and size."""
    for number, file in enumerate(sorted(files(path))):
        if number % 100 == 0:
            with file.open("ab") as stream:
                stream.write(os.urandom(1000))


def files(path: Path) -> Iterator[Path]:
    """All files below a folder."""
    for folder, _, names in os.walk(path):
        yield from (Path(folder, name) for name in names)


def read(path: Path) -> None:
    """Have everything in the page cache: borg drops what it has read from it, and who comes next would pay."""
    for file in files(path):
        with file.open("rb", buffering=0) as stream:
            while stream.read(MIB):
                pass


def make(path: Path, fill: Callable[[Path, int], None], amount: int) -> tuple[int, int]:
    """Fill a new folder; returns (files, bytes). Everything is in the page cache, and perhaps not yet on the disk."""
    path.mkdir(parents=True)
    fill(path, amount)
    sizes = [file.stat().st_size for file in files(path)]
    return len(sizes), sum(sizes)


def _text(source: random.Random, size: int) -> bytes:
    return " ".join(source.choices(_WORDS, k=size // 6)).encode()[:size].ljust(size, b" ")


def _new(path: Path) -> BinaryIO:
    return path.open("wb", buffering=MIB)
