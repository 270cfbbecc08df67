"""How long it takes until everything is back, from what a sample took (pure).

Restoring is taken to cost something for each file and something for each byte: `t = c n + r b`. Two bounds on what
the whole takes follow from the measured halves of a sample, and the lower one is the estimate:

- the whole is at most so many times the sample as it has more files or more bytes, whichever is more;
- `c` is at most what the half of the smaller files took for each file, `r` what that of the larger ones took for each
  byte.

The first is exact where the sample is like the whole, the second holds it near where it is not, as when the largest
files were left out. So the estimate errs on the side of the longer time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Measured(NamedTuple):
    """A restore that was timed."""

    files: int
    bytes: int
    seconds: float


def estimate(startup: float, small: Measured, large: Measured, *, files: int, size: int) -> float:
    """Seconds until `files` files of `size` bytes are back.

    `startup` is what passed before the first byte could be asked for. `small` and `large` are the halves of a
    sample; one of no files says nothing.
    """
    whole = _sum((small, large))
    growth = max(files / whole.files if whole.files else 0.0, size / whole.bytes if whole.bytes else 0.0)
    by_file = small if small.files else whole
    by_byte = large if large.bytes else whole
    apart = (by_file.seconds / by_file.files * files if by_file.files else 0.0) + (
        by_byte.seconds / by_byte.bytes * size if by_byte.bytes else 0.0
    )
    return startup + min(growth * whole.seconds, apart)


def _sum(parts: Sequence[Measured]) -> Measured:
    return Measured(
        sum(part.files for part in parts), sum(part.bytes for part in parts), sum(part.seconds for part in parts)
    )
