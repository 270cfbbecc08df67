"""Where data is cut into chunks, so that a change moves only the boundaries beside it.

restic cuts with Rabin fingerprints; this is FastCDC with the same sizes, several times as fast. Readers do not care.
The cut points are secret, like restic's: whoever saw the sizes of chunks in a pack could else tell by them whether a
known file is stored. So the table behind the cutting is seeded from the repository's key.
"""

from __future__ import annotations

import hmac

from pyfastcdc import FastCDC

from backup.format.crypto import MasterKey

MIN_SIZE = 512 << 10
AVERAGE_SIZE = 1 << 20
MAX_SIZE = 8 << 20


def chunker_seed(key: MasterKey) -> int:
    """The same for every run on a repository, and telling nothing of the key."""
    digest = hmac.digest(key.encrypt, b"hostward: seed of chunk boundaries", "sha256")
    return int.from_bytes(digest[:8], "little") >> 1  # the chunker takes 63 bits


class Cutter:
    """Finds cut points."""

    def __init__(self, seed: int) -> None:
        self._fastcdc = FastCDC(AVERAGE_SIZE, min_size=MIN_SIZE, max_size=MAX_SIZE, seed=seed)

    def cut(self, data: memoryview, *, final: bool) -> list[int]:
        """Lengths of the chunks at the beginning of `data`.

        What is left over has no cut point yet: give it again with what follows it. With `final` nothing follows, and
        nothing is left over.
        """
        lengths = [chunk.length for chunk in self._fastcdc.cut_buf(data)] if len(data) else []
        # A cut point depends on what is before it alone, so only the end of the data could have cut the last one.
        if lengths and not final and lengths[-1] < MAX_SIZE:
            lengths.pop()
        return lengths

    def zeros(self) -> int:
        """The length of a chunk that begins where at least MAX_SIZE zeros follow."""
        return self.cut(memoryview(bytes(MAX_SIZE)), final=True)[0]
