"""Turns templates into responses. Everything is escaped: host names and messages come from outside."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from collector.rules.backup_state import coarse
from collector.web import bars, format
from collector.web.static_files import StaticFiles
from kit.units import format_size

HERE = Path(__file__).parent
STATIC = StaticFiles(HERE / "static")

DRILLS_SHOWN = 2
"""Of a job in a table, the worst first; the host's page of backups has all."""
HEADERS = {"Cache-Control": "no-store"}
"""What every page adds to the headers that all responses have: it is for one person, and for now."""

SENTENCES = {
    400: "The request makes no sense here.",
    403: "This request came from another site, or you may not do this.",
    404: "There is nothing at this address. A host that was revoked has no page any more.",
    405: "This address does not take such requests.",
    429: "Too many logins failed. Try again later.",
    413: "The request is larger than anything this page sends.",
    500: "Something went wrong at home. The collector's log says what.",
    503: "Home is busy. Try again in a moment.",
}


def host_url(host: str) -> str:
    """The page of the host with this id."""
    return f"/hosts/{quote(host, safe='')}"


def page(
    template: str, /, *, status: int = 200, headers: dict[str, str] | None = None, **context: object
) -> HTMLResponse:
    """A template from `templates/`, rendered with `context`."""
    content = _environment.get_template(template).render({"section": "", **context})
    return HTMLResponse(content, status_code=status, headers=HEADERS | (headers or {}))


def error_page(request: Request, status: int) -> Response:
    """What a person sees instead of a page: `status` in words. A fragment gets the words alone."""
    heading = HTTPStatus(status).phrase
    sentence = SENTENCES.get(status, "That did not work.")
    if "HX-Request" in request.headers:
        return Response(sentence, status, HEADERS, media_type="text/plain")
    return page("error.html", status=status, heading=heading, code=status, sentence=sentence)


def _make_environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(static=STATIC.url, drills_shown=DRILLS_SHOWN)
    environment.filters.update(
        amount=format.amount,
        drill_bars=bars.of_drills,
        figure_label=format.figure_label,
        figure_value=format.figure_value,
        host_url=host_url,
        iso=format.iso,
        log_state=format.log_state,
        plain=format.plain,
        size=format_size,
        size_bars=bars.of_sizes,
        span=coarse,
        took=format.took,
        toml_key=format.toml_key,
    )
    return environment


_environment = _make_environment()
