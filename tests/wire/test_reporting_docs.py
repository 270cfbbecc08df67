"""docs/reporting.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from agent.home import reaction
from wire import limits, protocol
from wire.errors import REFUSALS
from wire.report import VERSION, Report


def page(repository: Path) -> str:
    """The text."""
    return (repository / "docs/reporting.md").read_text()


def test_every_code_is_on_the_page_with_its_status(repository: Path) -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (\d{3}) \|", page(repository), re.MULTILINE))
    assert {code: int(status) for code, status in rows.items()} == {
        code: meaning.status for code, meaning in REFUSALS.items()
    }
    assert set(REFUSALS) == reaction.REFUSED_FOR_GOOD | reaction.SIGN_AGAIN | reaction.ACT_FIRST | {"busy"}


def test_every_field_is_on_the_page(repository: Path) -> None:
    text = page(repository)
    for name in Report.__struct_fields__:
        assert f"`{name}`" in text, name


def test_the_limits_and_names_are_those_of_the_code(repository: Path) -> None:
    text = page(repository)
    for pattern in (limits.NAME, limits.MEASUREMENT, limits.LABEL, limits.PACKAGE):
        assert f"`{pattern.pattern}`" in text
    assert f"| {limits.MAX_BODY >> 20} MiB; {limits.MAX_DOCUMENT >> 20} MiB |" in text
    counts = [limits.MAX_CHECKS, limits.MAX_READINGS, limits.MAX_JOBS, limits.MAX_EVENTS]
    assert f"| {', '.join(f'{count:,}' for count in counts)} |" in text
    assert f"| {limits.MAX_GAPS}, {limits.MAX_FACTS}, {limits.MAX_LABELS} |" in text
    assert f"| {limits.MAX_NAME}; {limits.MAX_LABEL_NAME}; {limits.MAX_VALUE} characters |" in text
    assert f"| {limits.MAX_MESSAGE}; {limits.MAX_UNIT} characters |" in text
    assert f"| {limits.MAX_LOGS}; {limits.MAX_SHAPES}; {limits.MAX_SHAPE} characters |" in text
    assert f"| {limits.MAX_BACKUPS}; {limits.MAX_COPIES}; {limits.MAX_DRILLS} |" in text
    packages = f"{limits.MAX_PACKAGES:,}; {limits.MAX_PENDING:,}; {limits.MAX_PACKAGES_SIZE >> 10} KiB"
    assert f"| {packages} |" in text
    assert f"`{limits.SNAPSHOT.pattern}`" in text
    assert f"| `version` | {VERSION} |" in text
    for name in (protocol.REPORTS, protocol.ENROLL, protocol.REPORT_TYPE):
        assert name in text
