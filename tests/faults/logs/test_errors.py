"""An error of the file system at each change that a rotation makes."""

from __future__ import annotations

import itertools

import pytest

from tests.faults.logs.ground import WAYS
from tests.faults.logs.test_kills import nothing_lost, of_logs
from tests.faults.logs.trial import Clean, Outcome, Trial, Trials

ALL = ("numbers", "compress", "copytruncate")
"""Ways in which each change fails; in others, which have most in common with these, every second."""
ERRORS = ("ENOSPC", "EIO", "EACCES")


@pytest.mark.parametrize("way", WAYS)
def test_an_error_at_each_change(trials: Trials, way: str) -> None:
    """It is said clearly, no line is lost, and later runs rotate as ever."""
    clean = trials.clean(way)
    errors = itertools.cycle(ERRORS)
    last = len(clean.calls) if way == "numbers" else len(of_logs(clean.calls))
    for number, name in enumerate(clean.calls[:last], 1):
        what = next(errors)
        if way not in ALL and number % 2 != len(way) % 2:
            continue
        with trials.trial(way) as trial:
            try:
                told(trial, clean, trial.run((number, what)))
                nothing_lost(trial, clean)
                goes_on(trial, clean)
            except AssertionError as error:
                raise AssertionError(f"{way}, {what} at {name}, {number}: {error}") from error


def told(trial: Trial, clean: Clean, outcome: Outcome) -> None:
    """The error is said, once, unless all was done without what failed."""
    assert "Traceback" not in outcome.said, outcome.said
    if outcome.code == 0:
        assert trial.place.tree() == clean.place.tree(), outcome.said
        return
    assert outcome.code in (1, 3), outcome
    errors = [line for line in outcome.said.splitlines() if line.startswith("error: ")]
    assert errors and len(errors) == len(set(errors)) <= 3, outcome.said


def goes_on(trial: Trial, clean: Clean) -> None:
    """The next run has no trouble, and what was just rotated outlives as many rotations as it should."""
    place = trial.place
    again = trial.run()
    assert again.code == 0, again.said
    assert not place.left_over()
    found, expected = place.counted(), clean.place.counted()
    lost = expected.keys() - found.keys()
    assert not lost, f"lost by the next run: {len(lost)} lines; there are {place.tree().keys()}"
    # What could not be taken out of the log stays in its copy, too, as with logrotate.
    assert place.way.doubles or "copytruncate" in place.way.body or max(found.values()) == 1, "doubled"
    newest = max(found)
    for _ in range(min(place.way.outlives, 1)):
        forced = trial.run(words=("-f",), days=1)
        assert forced.code == 0, forced.said
    assert newest in place.counted(), f"lost by rotations that came after; there are {place.tree().keys()}"
