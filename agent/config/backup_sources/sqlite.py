"""`[backups.NAME.sqlite]`: databases of SQLite, copied while they are in use."""

from __future__ import annotations

from typing import Annotated

import msgspec

_Pattern = Annotated[
    str, msgspec.Meta(pattern=r"\A/[^\0]+\Z", max_length=4096, extra={"words": "a full path, beginning with /"})
]


class SqliteSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Database files of SQLite, each as of one moment, also while programs write to it.

    The snapshot holds `/sqlite` with the path of each file in it. A file is copied into the folder for temporary
    files ($TMPDIR, else /var/tmp) first.
    """

    paths: Annotated[
        tuple[_Pattern, ...],
        msgspec.Meta(
            description="The database files; *, ? and ** as a shell has them. A path that fits none fails the run.",
            min_length=1,
            examples=[["/var/lib/grafana/grafana.db", "/srv/*/data.sqlite"]],
            extra={"words": "an array of full paths"},
        ),
    ]
    exclude: Annotated[
        tuple[_Pattern, ...],
        msgspec.Meta(description="Files to leave out, as in `paths`.", examples=[["/srv/test/*"]]),
    ] = ()
