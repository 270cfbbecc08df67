"""Static files under URLs that change with their content, so that browsers may keep them for ever."""

from __future__ import annotations

import hashlib
import mimetypes
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

PREFIX = "/static"
FOR_EVER = "public, max-age=31536000, immutable"


class StaticFiles:
    """All files of a folder, read once.

    One fingerprint covers them all: it is a folder in their URLs, so that the relative imports between ES modules and
    stylesheets resolve to the same release of the files.
    """

    def __init__(self, folder: Path) -> None:
        self._files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        digest = hashlib.sha256()
        for name, content in self._files.items():
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
        self.fingerprint = digest.hexdigest()[:16]

    def url(self, name: str) -> str:
        """Where `name` is served. Raises KeyError for a file that is not there."""
        if name not in self._files:
            raise KeyError(f"no static file {name}")
        return f"{PREFIX}/{self.fingerprint}/{name}"

    async def serve(self, request: Request) -> Response:
        """GET /static/{fingerprint}/{name}. An old page may ask for an old fingerprint: it gets what there is now."""
        content = self._files.get(request.path_params["name"])
        if content is None:
            raise HTTPException(404)
        current = request.path_params["fingerprint"] == self.fingerprint
        media_type, _ = mimetypes.guess_type(request.path_params["name"])
        return Response(
            content,
            media_type=media_type or "text/plain",
            headers={"Cache-Control": FOR_EVER if current else "no-cache"},
        )
