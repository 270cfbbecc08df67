"""What deploys show of their notes."""

from __future__ import annotations

from typing import cast

from pyinfra.api.host import Host

from deploys.kit.notes import Failed, Note, Phase, Result, Versions, joined, note

RED = "\x1b[31mred\r"


class Shown:
    """Takes what a host's log would show."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, line: str) -> None:
        """As pyinfra's."""
        self.lines.append(line)


def test_what_a_host_said_does_not_steer_the_terminal() -> None:
    """In notes of every kind."""
    notes: list[Note] = [
        Phase(RED),
        Failed(RED, "left_alone"),
        Versions({RED: None}, {RED: RED}),
        Result({"a": 1}, (RED,)),
    ]
    for each in notes:
        shown = Shown()
        note(cast(Host, shown), each)
        assert len(shown.lines) == 1 and "red" in shown.lines[0]
        assert shown.lines[0].isprintable(), each


def test_lists_of_several_results_are_put_together() -> None:
    """And what is no list is the later one's."""
    before = {"removed": ["a"], "at": 1}
    assert joined(before, {"removed": ["b"], "at": 2, "more": []}) == {"removed": ["a", "b"], "at": 2, "more": []}
    assert before == {"removed": ["a"], "at": 1}
