"""What checks, jobs and rules are called."""

from __future__ import annotations

from typing import Annotated

import msgspec

Name = Annotated[
    str,
    msgspec.Meta(
        pattern=r"\A[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}\Z",
        extra={"words": "a name of up to 64 letters, digits, _ . @ and -, beginning with a letter or digit"},
    ),
]
"""It becomes part of keys at home and of log lines."""
