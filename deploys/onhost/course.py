"""The course of a change on a host, whatever it changes: what was cut down is put back first, and so is what fails.

Whoever asked for it reads from `result.json` what became of it, so that is written in any case.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from deploys.onhost.parts import write

Plan = dict[str, Any]


class Steps(NamedTuple):
    """What one kind of change does. Each may raise anything."""

    check: Callable[[Plan, Path], None]
    """What can be known before anything is touched."""
    remember: Callable[[Plan, Path], None]
    """Have on the disk, in `before.json`, what is needed to put all back."""
    apply: Callable[[Plan, Path], None]
    watch: Callable[[Plan], None]
    put_back: Callable[[Path], None]
    """As it was; `before.json` is gone then."""
    forget: Callable[[Path], None]
    """It is judged, and is not put back any more."""
    tidy: Callable[[Plan], None]


def carry_out(folder: Path, steps: Steps) -> None:
    """Do what the plan in `folder` says, after putting back what a run before did not bring to its end."""
    os.umask(0o022)
    file = folder / "plan.json"
    try:
        undone = (folder / "before.json").exists()
        text = file.read_text() if file.exists() else None
        # It may hold secrets, and is not needed again: a run that was cut down is put back.
        file.unlink(missing_ok=True)
        if undone:
            steps.put_back(folder)
    except Exception as error:  # whatever it is, it has to be told
        answer(folder, ok=False, reason=f"what was cut down cannot be put back: {said(error)}", outcome="broken")
        return
    if text is None:
        answer(folder, ok=undone, reason="" if undone else "there is no plan", outcome="rolled_back")
        return
    _change(text, folder, steps)


def _change(text: str, folder: Path, steps: Steps) -> None:
    try:
        plan = json.loads(text)
        steps.check(plan, folder)
    except Exception as error:  # whatever it is, it has to be told
        answer(folder, ok=False, reason=said(error), outcome="left_alone")
        return
    try:
        steps.remember(plan, folder)
        steps.apply(plan, folder)
        steps.watch(plan)
    except Exception as error:  # whatever it is, all has to be put back
        try:
            # Where nothing was remembered, nothing was changed.
            if (folder / "before.json").exists():
                steps.put_back(folder)
        except Exception as second:  # whatever it is, it has to be told
            reason = f"{said(error)}; and it cannot be put back: {said(second)}"
            answer(folder, ok=False, reason=reason, outcome="broken")
        else:
            answer(folder, ok=False, reason=said(error), outcome="rolled_back")
        return
    try:
        steps.forget(folder)
        steps.tidy(plan)
    except Exception as error:  # whatever it is, it has to be told
        answer(folder, ok=False, reason=f"it is in force, but not all is tidied up: {said(error)}", outcome="broken")
        return
    answer(folder, ok=True, reason="", outcome="")


def said(error: Exception) -> str:
    """One sentence, also of an error that has none."""
    return str(error) or type(error).__name__


def answer(folder: Path, *, ok: bool, reason: str, outcome: str) -> None:
    """What became of it, for whoever asks."""
    write(folder / "result.json", json.dumps({"ok": ok, "reason": reason, "outcome": outcome}), 0o600)
