"""The pages: login, fleet, host, and the fragments and figures that keep them live."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlencode

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from collector.api.endpoint import address
from collector.api.problems import ApiError
from collector.api.shapes import HostDetail, Series
from collector.auth import COOKIE, may
from collector.rules.state import SEVERITY
from collector.services import Services, services
from collector.store.accounts import SESSION_LIFETIME, Role, User
from collector.web import backups, browse, charts, listing, rollouts, updates
from collector.web.format import amount, took
from collector.web.forms import read_form
from collector.web.location import local_path, path_of
from collector.web.pages import HEADERS, STATIC, page
from collector.web.static_files import PREFIX
from collector.web.timeline import ahead_of, timeline

Handler = Callable[[Request], Awaitable[Response]]
MAX_POINTS = 50_000
"""Of all charts of a host together; where there would be more, the steps are wider."""
FACTS = ("os", "kernel", "architecture", "cpus", "cpu_model", "memory", "virtualization")
"""Those that are shown first, in this order."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page or a part of one, with who may have it: `anyone`, or people whose role is at least this one."""

    method: Literal["GET", "POST"]
    path: str
    access: Role | Literal["anyone"]
    handler: Handler

    def route(self) -> Route:
        """For Starlette. Nobody without the role gets to the handler, which finds who it is in `request.state.user`.

        Who is not logged in goes to the login page, and from there to where they wanted.
        """

        async def serve(request: Request) -> Response:
            if self.access != "anyone":
                user = await _user(request)
                if user is None:
                    return _to_login(request)
                if not may(user, self.access):
                    raise HTTPException(403)
                request.state.user = user
            return await self.handler(request)

        return Route(self.path, serve, methods=[self.method])


async def login_form(request: Request) -> Response:
    """GET /login."""
    target = local_path(request.query_params.get("next", "/"))
    if await _user(request) is not None:
        return RedirectResponse(target, 303, HEADERS)
    return page("login.html", next=target, name="", error="")


async def login(request: Request) -> Response:
    """POST /login."""
    form = await read_form(request)
    name, target = form.get("name", ""), local_path(form.get("next", "/"))
    auth = services(request).auth
    try:
        token = await auth.login(name, form.get("password", ""), address(request))
    except ApiError as error:
        return page(
            "login.html", status=error.status, headers=error.headers, next=target, name=name, error=str(error)
        )
    if token is None:
        return page("login.html", status=401, next=target, name=name, error="The name or the password is wrong.")
    if before := request.cookies.get(COOKIE):
        await auth.logout(before, address(request))
    response = RedirectResponse(target, 303, HEADERS)
    response.set_cookie(COOKIE, token, max_age=int(SESSION_LIFETIME), secure=True, httponly=True, samesite="lax")
    return response


async def logout(request: Request) -> Response:
    """POST /logout."""
    if token := request.cookies.get(COOKIE):
        await services(request).auth.logout(token, address(request))
    response = RedirectResponse("/login", 303, HEADERS)
    response.delete_cookie(COOKIE, secure=True, httponly=True, samesite="lax")
    return response


async def fleet(request: Request) -> Response:
    """GET /: the fleet; its fragment alone where htmx asks, which also names the address to show."""
    query = listing.Query.parse(request.query_params)
    hosts = await services(request).fleet.hosts()
    view = listing.arrange(hosts, query)
    fragment = "HX-Request" in request.headers
    headers = {"HX-Replace-Url": view.query.url} if fragment else {}
    return page(
        "_fleet_fragment.html" if fragment else "fleet.html",
        headers=headers,
        section="fleet",
        user=request.state.user.name,
        listing=view,
        origin=_origin(request),
    )


async def host(request: Request) -> Response:
    """GET /hosts/{id}: a host; its fragments alone where htmx asks."""
    detail = await _detail(request)
    kept = await backups.of_host(request, detail.host.id)
    if kept is None:  # revoked in between
        raise HTTPException(404)
    fragment = "HX-Request" in request.headers
    ahead = ahead_of(detail.clock_offset)
    return page(
        "_host_fragments.html" if fragment else "host.html",
        user=request.state.user.name,
        section="fleet",
        fragment=fragment,
        detail=detail,
        backups=kept,
        waiting=await updates.of_host(request, detail.host.id),
        updates_shown=updates.SHOWN,
        ahead=ahead,
        checks=sorted(detail.checks, key=lambda check: (-SEVERITY[check.state], check.name)),
        timeline=timeline(detail.changes, detail.events, ahead),
        facts=_facts(detail),
        gaps=[
            amount(count, kind.replace("_", " ").removesuffix("s")) for kind, count in detail.gaps.items() if count
        ],
        ranges=list(charts.RANGES),
        range_name=_range(request),
    )


async def host_charts(request: Request) -> Response:
    """GET /hosts/{id}/charts?range=1h[&since=TIME]: charts.Charts as JSON; with `since` only what is newer."""
    detail = await _detail(request)
    name = _range(request)
    span = charts.RANGES[name]
    until = services(request).clock()
    # Samples carry the host's clock. Shifted by whole steps they stay on the grid, poll after poll.
    shift = round(detail.clock_offset / span.step) * span.step
    beginning = until - span.length
    since = _number(request.query_params.get("since"))
    # A step that is asked for by half would come back as the mean of that half.
    start = math.floor((beginning if since is None else min(max(since, beginning), until)) / span.step) * span.step
    series = await asyncio.to_thread(
        _query, services(request), detail.host.id, start + shift, until + shift, span.step
    )
    times = [moment - shift for moment in series[0].times] if series else []
    shown, left_out = charts.bounded(charts.arrange(series))
    body = charts.Charts(
        range=name,
        length=span.length,
        step=span.step,
        start=max(beginning, detail.host.enrolled),
        until=until,
        times=times,
        charts=shown,
        left_out=left_out,
    )
    return Response(msgspec.json.encode(body), headers=HEADERS, media_type="application/json")


PAGES: tuple[Page, ...] = (
    Page("GET", "/", "viewer", fleet),
    Page("GET", "/hosts/{host}", "viewer", host),
    Page("GET", "/hosts/{host}/charts", "viewer", host_charts),
    Page("GET", "/hosts/{host}/updates", "viewer", updates.updates),
    Page("GET", "/hosts/{host}/backups", "viewer", backups.host_backups),
    Page("POST", "/hosts/{host}/backups/forget", "operator", backups.forget),
    Page("GET", "/hosts/{host}/backups/snapshots", "operator", browse.snapshots),
    Page("GET", "/hosts/{host}/backups/snapshots/{snapshot}", "operator", browse.folder),
    Page("GET", "/hosts/{host}/backups/snapshots/{snapshot}/download", "operator", browse.download),
    Page("GET", "/backups", "viewer", backups.backups),
    Page("GET", "/rollouts", "viewer", rollouts.rollouts),
    Page("GET", "/rollouts/{rollout}", "viewer", rollouts.rollout),
    Page("GET", "/login", "anyone", login_form),
    Page("POST", "/login", "anyone", login),
    Page("POST", "/logout", "anyone", logout),
    Page("GET", f"{PREFIX}/{{fingerprint}}/{{name:path}}", "anyone", STATIC.serve),
)
ROUTES = [one.route() for one in PAGES]


async def _user(request: Request) -> User | None:
    token = request.cookies.get(COOKIE)
    return await services(request).auth.session(token) if token else None


async def _detail(request: Request) -> HostDetail:
    detail = await services(request).fleet.host(request.path_params["host"])
    if detail is None:
        raise HTTPException(404)
    return detail


def _query(found: Services, host: str, start: float, end: float, step: float) -> list[Series]:
    with found.database.read() as connection:
        return found.history.query(connection, host, start=start, end=end, step=step, limit=MAX_POINTS)


def _to_login(request: Request) -> Response:
    """A page is redirected; a fragment tells htmx to go, and a request for figures gets a plain 401."""
    if "HX-Request" in request.headers:
        target = path_of(request.headers.get("HX-Current-URL", "/"))
        return Response(status_code=401, headers=HEADERS | {"HX-Redirect": _login_url(target)})
    if request.url.path.endswith("/charts"):
        return Response(status_code=401, headers=HEADERS)
    url = request.url
    target = f"{url.path}?{url.query}" if url.query else url.path
    return RedirectResponse(_login_url(local_path(target)), 303, HEADERS)


def _login_url(target: str) -> str:
    return "/login" if target == "/" else f"/login?{urlencode({'next': target})}"


def _origin(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}"


def _range(request: Request) -> charts.Range:
    asked = request.query_params.get("range", "")
    return next((name for name in charts.RANGES if name == asked), charts.DEFAULT_RANGE)


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if abs(number) < 1e12 else None


def _facts(detail: HostDetail) -> list[tuple[str, str]]:
    facts = detail.host.facts
    known = [(name, facts[name]) for name in FACTS if name in facts]
    rest = sorted((name, value) for name, value in facts.items() if name not in FACTS and name != "agent")
    shown = [(name.replace("_", " "), value) for name, value in (*known, *rest)]
    shown += [("agent", detail.host.agent), ("reports every", f"{detail.host.interval:g} s"), ("id", detail.host.id)]
    if ahead := ahead_of(detail.clock_offset):
        shown.append(("clock", f"{took(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} home's"))
    return [(name, value) for name, value in shown if value]
