"""What several sources have in common."""

from __future__ import annotations

from typing import Annotated

import msgspec

RunAs = Annotated[
    str,
    msgspec.Meta(
        pattern=r"\A([a-z_][a-z0-9_-]{0,30})?\Z",
        extra={"words": "the name of a user"},
    ),
]
Words = Annotated[str, msgspec.Meta(min_length=1, pattern=r"\A[^\0]+\Z")]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Secret = Annotated[
    str,
    msgspec.Meta(
        pattern=r"\A((/|credential:)[^\0]+)?\Z", extra={"words": "the full path of a file, or credential:NAME"}
    ),
]
"""Never the secret itself: where it is (agent/credentials.py); empty for none."""
