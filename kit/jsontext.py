"""JSON for people's terminals and for programs that read it there."""

from __future__ import annotations

import json
import re

import msgspec

_STEERING = re.compile(
    "[\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
"""Controls (C1), and what turns or hides text, which may stand in JSON as they are (RFC 8259, section 7)."""


def json_text(value: object, *, indent: bool = True) -> str:
    r"""JSON to be printed; `indent`: of many lines. What would steer the terminal stands there as `\u009b`."""
    found = msgspec.json.encode(value)
    if indent:
        found = msgspec.json.format(found)
    return _STEERING.sub(lambda match: json.dumps(match.group())[1:-1], found.decode())
