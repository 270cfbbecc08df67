"""The page that shows the house shows this one."""

from __future__ import annotations

import re
from pathlib import Path


def rows(repository: Path) -> set[str]:
    """The rooms that docs/architecture.md names, without their trailing slash."""
    page = (repository / "docs" / "architecture.md").read_text()
    return {name.rstrip("/") for name in re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)}


def test_every_room_on_the_page_exists(repository: Path) -> None:
    """Nothing is described that is not there."""
    assert not [name for name in rows(repository) if not (repository / name).exists()]


def test_every_package_is_on_the_page(repository: Path) -> None:
    """A new folder of code is described before it lands."""
    packages = {
        str(file.parent.relative_to(repository))
        for top in ("agent", "backup", "collector", "kit", "wire", "demo")
        for file in (repository / top).rglob("__init__.py")
    }
    told = rows(repository)
    inner = {name for name in packages if any(name.startswith(f"{other}/") for other in told)}
    assert packages - told - inner <= {"agent", "collector"}


def test_every_link_in_the_pages_leads_somewhere(repository: Path) -> None:
    """No page sends its reader to a file that is not there."""
    broken = []
    for page in [repository / "README.md", *(repository / "docs").rglob("*.md"), repository / "benchmarks/README.md"]:
        for target in re.findall(r"\]\((?!https?:)([^)#\s]+)", page.read_text()):
            if not (page.parent / target).exists():
                broken.append(f"{page.relative_to(repository)}: {target}")
    assert not broken
