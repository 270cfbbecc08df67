"""How bad a line is."""

from __future__ import annotations

import pytest

from agent.logs.analyse import severity

CASES = [
    ("[error] no", severity.ERROR),
    ("ERROR com.example.Main: no", severity.ERROR),
    ("level=warn msg=x", severity.WARNING),
    ("<crit> x", severity.CRITICAL),
    ("error: cannot open", severity.ERROR),
    ("Failed password for root", severity.ERROR),
    ("0 errors, no error at all", severity.INFO),
    ("connection refused", severity.WARNING),
    ("segfault at 0", severity.CRITICAL),
    ("started", severity.INFO),
    ("DEBUG error handler set", severity.DEBUG),
]


@pytest.mark.parametrize(("message", "expected"), CASES)
def test_words_tell(message: str, expected: int) -> None:
    assert severity.of_text(message.encode()) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("WARN", 4), ("Error", 3), ("3", 3), (50, 3), (6, 6), (True, None), ("what", None), (None, None), ("99", None)],
)
def test_names_and_numbers_tell(name: object, expected: int | None) -> None:
    assert severity.of_name(name) == expected
