"""The page as plain text, for a printer, a terminal or a letter (pure)."""

from __future__ import annotations

import textwrap

from agent.backups.recovery.page import Block, Commands, Facts, Heading, Page, Paragraph

WIDTH = 86


def render(page: Page) -> str:
    """All of it, ending in a newline."""
    parts = [f"{page.title}\n{'=' * min(len(page.title), WIDTH)}\n{_wrapped(page.subtitle)}"]
    parts += [_block(block) for block in page.blocks]
    return "\n\n".join(parts) + "\n"


def _block(block: Block) -> str:
    if isinstance(block, Heading):
        line = ("=" if block.level == 1 else "-") * min(len(block.text), WIDTH)
        return f"{'' if block.level > 1 else chr(10)}{block.text}\n{line}"
    if isinstance(block, Paragraph):
        return _wrapped(block.text)
    if isinstance(block, Facts):
        widest = max((len(name) for name, _ in block.rows), default=0)
        return "\n".join(_row(name, value, widest) for name, value in block.rows)
    if isinstance(block, Commands):
        return "\n".join("    " + line for line in block.lines)
    return f"{block.label}\n\n{'_' * WIDTH}"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def _row(name: str, value: str, widest: int) -> str:
    lead = f"{name and name + ':':<{widest + 1}} "
    return textwrap.fill(
        value or "-",
        max(WIDTH, len(lead) + 20),
        initial_indent=lead,
        subsequent_indent=" " * len(lead),
        break_long_words=False,
        break_on_hyphens=False,
    )
