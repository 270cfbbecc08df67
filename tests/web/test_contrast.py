"""Text can be read: the stylesheet's colours keep the contrast that WCAG 2.2 asks for (AA)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

STATES = ("ok", "warning", "critical", "down", "unknown")
TEXT = [(ink, ground) for ink in ("ink", "ink-2") for ground in ("ground", "surface", "raised")] + [
    ("accent", "ground"),
    ("accent", "surface"),
    ("accent-ink", "accent"),
    ("ink-2", "unknown-tint"),
    ("accent", "running-tint"),
    ("ground", "ink"),
    *((state, "surface") for state in STATES),
    *((state, f"{state}-tint") for state in STATES),
]
GRAPHICS = [(f"series-{number}", "surface") for number in range(1, 9)] + [
    (fill, "surface") for fill in ("ok", "critical", "down-fill", "unknown")
]


@pytest.fixture(scope="module", params=["light", "dark"])
def colours(request: pytest.FixtureRequest) -> dict[str, str]:
    """The variables of a colour scheme."""
    css = Path("collector/web/static/app.css")
    blocks = re.findall(r":root \{(.*?)\}", (request.config.rootpath / css).read_text(), re.S)
    found: list[dict[str, str]] = [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block)) for block in blocks]
    assert len(found) == 2
    return found[0] if request.param == "light" else found[0] | found[1]


def luminance(colour: str) -> float:
    """Relative luminance, as WCAG defines it."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """The ratio, from 1 to 21."""
    brighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize(("ink", "ground"), TEXT)
def test_text_stands_out(colours: dict[str, str], ink: str, ground: str) -> None:
    """4.5 to 1 for text of any size."""
    assert contrast(colours[ink], colours[ground]) >= 4.5


@pytest.mark.parametrize(("ink", "ground"), GRAPHICS)
def test_lines_stand_out(colours: dict[str, str], ink: str, ground: str) -> None:
    """3 to 1 for what is drawn."""
    assert contrast(colours[ink], colours[ground]) >= 3
