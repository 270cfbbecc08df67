"""What tells a restored PostgreSQL how far to recover: lines for postgresql.auto.conf. Pure."""

from __future__ import annotations

import re
import shlex
from datetime import UTC, datetime, timedelta
from typing import Literal

from agent.backups.wal.plan import Kind, RestorePlan, Target
from backup.select.wal_names import lsn

Action = Literal["pause", "promote", "shutdown"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OLD = re.compile(r"[ \t]*(recovery_target\w*|restore_command|primary_conninfo|primary_slot_name)\b", re.IGNORECASE)


def recovery_settings(plan: RestorePlan, target: Target, wal: str, *, action: Action, archiving: bool) -> str:
    """The lines. `wal` is the folder with the segments. Where the server is not to go on with `archiving`, it is off:
    a copy for trying must not write into the archive of the server that it is a copy of.
    """
    lines = [
        "",
        "# hostward: how far this copy is recovered. PostgreSQL heeds it as long as there is recovery.signal.",
    ]
    command = f'cp {shlex.quote(wal).replace("%", "%%")}/%f "%p"'
    lines.append(f"restore_command = {_quoted(command)}")
    asked = {}
    match target.kind:
        case Kind.IMMEDIATE:
            asked["recovery_target"] = "immediate"
        case Kind.TIME:
            moment = _EPOCH + timedelta(microseconds=target.value // 1000)
            asked["recovery_target_time"] = f"{moment:%Y-%m-%d %H:%M:%S.%f}+00"
        case Kind.XID:
            asked["recovery_target_xid"] = str(target.value)
        case Kind.LSN:
            asked["recovery_target_lsn"] = lsn(target.value)
        case Kind.NAME:
            asked["recovery_target_name"] = target.name
    lines += [f"{name} = {_quoted(value)}" for name, value in asked.items()]
    timeline = "current" if plan.timeline == plan.base.base.timeline else str(plan.timeline)
    lines.append(f"recovery_target_timeline = {_quoted(timeline)}")
    lines.append(f"recovery_target_inclusive = {'on' if target.inclusive else 'off'}")
    lines.append(f"recovery_target_action = {_quoted(action)}")
    if not archiving:
        lines.append("archive_mode = off")
    return "\n".join(lines) + "\n"


def without_recovery(content: str) -> str:
    """postgresql.auto.conf without what an earlier recovery left there: the server takes no more than one moment."""
    return "".join(line for line in content.splitlines(keepends=True) if _OLD.match(line) is None)


def _quoted(value: str) -> str:
    """As PostgreSQL reads it (guc-file.l): quotes doubled, backslashes too."""
    escaped = value.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"
