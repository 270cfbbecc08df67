"""Many random cases: `make logrotate-differences N=10000 FIRST=0`.

A case is known by its number, so a run that was broken off goes on with FIRST. Every kind of difference that is not
justified is made small and kept as a file, which can become a case.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

from tests.agent.logs.rotate.differential.case import Case, dump, load
from tests.agent.logs.rotate.differential.chance import drawn
from tests.agent.logs.rotate.differential.justified import reason, unjustified
from tests.agent.logs.rotate.differential.programs import runner
from tests.agent.logs.rotate.differential.reduce import reduced, signature
from tests.agent.logs.rotate.differential.twins import Twins

EVERY = 500
"""Cases between two lines of progress."""


def main() -> int:
    """Returns 1 when something differs that may not."""
    parser = argparse.ArgumentParser(prog="make logrotate-differences", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, help="kept cases to run again, instead of random ones")
    parser.add_argument("--first", type=int, default=0, help="the number of the first case (default: 0)")
    parser.add_argument("--cases", type=int, default=10000, help="how many (default: 10000)")
    parser.add_argument("--kinds", type=int, default=20, help="end after as many kinds of differences (default: 20)")
    parser.add_argument("--keep", type=Path, help="folder for small cases (default: a new one)")
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("only root can run logrotate for users of all kinds", file=sys.stderr)
        return 1
    if options.files:
        return again(options.files)
    keep = options.keep or Path(tempfile.mkdtemp(prefix="differences-"))
    keep.mkdir(parents=True, exist_ok=True)
    with runner() as own:
        numbers = range(options.first, options.first + options.cases)
        return search(Twins(own.real(), own.ours()), numbers, options.kinds, keep)


def again(files: list[Path]) -> int:
    """Run kept cases, and show what still differs."""
    failed = 0
    with runner() as own:
        twins = Twins(own.real(), own.ours())
        for path in files:
            case = load(path)
            differences = unjustified(case, twins.differences(case))
            failed += bool(differences)
            print("\n".join([f"{path}: {'differs' if differences else 'the same'}", *differences, ""]))
    return 1 if failed else 0


def search(twins: Twins, numbers: range, most: int, keep: Path) -> int:
    """Run the cases of those numbers."""
    began = time.monotonic()
    kinds: defaultdict[str, list[int]] = defaultdict(list)
    reasons: Counter[str] = Counter()
    runs = 0
    for number in numbers:
        case = drawn(random.Random(number))
        differences = twins.differences(case)
        runs += len(case.runs)
        remaining = unjustified(case, differences)
        if remaining:
            kind = signature(remaining[0])
            kinds[kind].append(number)
            if len(kinds[kind]) == 1:
                show(twins, number, case, kind, keep)
        elif differences:
            reasons.update({reason(case, difference) or "" for difference in differences})
        done = number + 1 - numbers.start
        if done % EVERY == 0 or done == len(numbers) or len(kinds) >= most:
            differ = sum(map(len, kinds.values()))
            print(f"{done} cases ({runs} runs) in {time.monotonic() - began:.0f} s, {differ} differ", flush=True)
        if len(kinds) >= most:
            break
    for text, count in reasons.most_common():
        print(f"{count} justified: {text}")
    for text, which in kinds.items():
        print(f"not justified, in {', '.join(map(str, which))}: {text}")
    if kinds:
        print(f"{len(kinds)} kinds of differences are in {keep}")
    return 1 if kinds else 0


def show(twins: Twins, number: int, case: Case, kind: str, keep: Path) -> None:
    """Make a case small and keep it."""

    def shows(smaller: Case) -> bool:
        try:
            differences = twins.differences(smaller)
        except OSError:  # a link to what is no longer there
            return False
        return kind in map(signature, unjustified(smaller, differences))

    small = reduced(case, shows)
    differences = "\n".join(unjustified(small, twins.differences(small)))
    path = keep / f"{number}.toml"
    path.write_text("".join(f"# {line}\n" for line in differences.splitlines()) + dump(small))
    print(f"case {number}, kept as {path}:\n{differences}\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
