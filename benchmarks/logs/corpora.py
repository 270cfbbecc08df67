"""The log that is compressed. It is the same each time: its randomness is seeded."""

from __future__ import annotations

import random
import time
from pathlib import Path

VISITORS = 20_000
PAGES = 3_000
AGENTS = 120
START = 1_790_000_000
BATCH = 20_000
"""Lines that are written at once."""


def access_log(path: Path, size: int, *, number: int = VISITORS) -> None:
    """What a web server wrote, in the combined format: few visitors, of `number`, and pages come often."""
    source = random.Random(5)
    agents = [_agent(source) for _ in range(AGENTS)]
    visitors = [
        (".".join(str(source.randrange(1, 255)) for _ in range(4)), source.choice(agents)) for _ in range(number)
    ]
    pages = [
        (f"/{source.choice(('shop', 'static', 'api/v1', 'img', 'account'))}/{source.randbytes(6).hex()}", length)
        for length in (source.randrange(200, 90_000) for _ in range(PAGES))
    ]
    often = [1 / (rank + 10) for rank in range(max(number, PAGES))]
    second, shown, stamp = float(START), 0, ""
    with path.open("wb", buffering=1 << 20) as file:
        while file.tell() < size:
            who = source.choices(visitors, often[:number], k=BATCH)
            what = source.choices(pages, often[:PAGES], k=BATCH)
            codes = source.choices((200, 304, 302, 404, 500), (80, 10, 4, 5, 1), k=BATCH)
            lines = []
            for (address, agent), (page, length), code in zip(who, what, codes, strict=True):
                second += 0.02
                if second >= shown + 1:
                    shown = int(second)
                    stamp = time.strftime("%d/%b/%Y:%H:%M:%S", time.gmtime(shown))
                query = f"?id={source.randrange(1_000_000)}" if length % 3 == 0 else ""
                lines.append(
                    f'{address} - - [{stamp} +0000] "GET {page}{query} HTTP/1.1" {code} {length} "-" "{agent}"\n'
                )
            file.write("".join(lines).encode())
        file.truncate(size)


def _agent(source: random.Random) -> str:
    system = source.choice(("Windows NT 10.0; Win64; x64", "X11; Linux x86_64", "Macintosh; Intel Mac OS X 10_15_7"))
    number = source.randrange(90, 130)
    return (
        f"Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) "
        f"Chrome/{number}.0.{source.randrange(6000)}.{source.randrange(200)} Safari/537.36"
    )
