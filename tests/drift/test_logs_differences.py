"""What docs/logs.md says of differences from logrotate is what the comparison with it lets pass."""

from __future__ import annotations

from pathlib import Path

from tests.agent.logs.rotate.differential.justified import TABLE


def test_the_page_tells_each_difference(repository: Path) -> None:
    """Each that is justified, in the same words."""
    page = (repository / "docs/logs.md").read_text()
    part = page.partition("What was found and left:\n")[2].partition("\n\nWhat no comparison")[0]
    told = [" ".join(item.split()) for item in part.split("\n- ")[1:]]
    assert [difference.reason for difference in TABLE if difference.reason not in told] == []
