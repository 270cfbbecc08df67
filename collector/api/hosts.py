"""The fleet, one host, and its readings."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from starlette.requests import Request

from collector.api import parameters
from collector.api.endpoint import Endpoint, Parameter
from collector.api.problems import ApiError
from collector.api.shapes import HostDetail, HostSummary, Series
from collector.services import services
from collector.store import hosts

SPAN = 3600.0
"""Seconds of readings that are given where no start is."""
LATEST = 1e11
"""Seconds since the epoch, the year 5138: the latest time that may be asked for."""


class HostList(msgspec.Struct, frozen=True):
    """The fleet."""

    hosts: list[HostSummary]


class SeriesList(msgspec.Struct, frozen=True, kw_only=True):
    """Readings of one host with `start` <= time < `end`, in seconds since the epoch."""

    host: str
    start: float
    end: float
    series: list[Series]


async def list_hosts(request: Request) -> HostList:
    """Give every host with its state, by name.

    Hosts that were revoked are left out.
    """
    return HostList(hosts=await services(request).fleet.hosts())


async def show_host(request: Request) -> HostDetail:
    """Give all that is known of one host now: its checks, its last changes and events, its jobs."""
    detail = await services(request).fleet.host(request.path_params["host"])
    if detail is None:
        raise _no_host(request)
    return detail


async def show_readings(request: Request) -> SeriesList:
    """Give the readings of one host over a range of time.

    Without `step` samples are given as they were measured, and with it one mean value per step. However long the
    range, the number of points is bounded: where there would be more, they are thinned.
    """
    found = services(request)
    query = _Query.of(request.query_params.multi_items(), found.clock())

    def work() -> SeriesList | None:
        with found.database.read() as connection:
            record = hosts.find_active(connection, request.path_params["host"])
            if record is None:
                return None
            series = found.history.query(
                connection,
                record.id,
                start=query.start,
                end=query.end,
                check=query.check,
                name=query.name,
                labels=query.labels,
                step=query.step,
            )
            return SeriesList(host=record.id, start=query.start, end=query.end, series=series)

    result = await asyncio.to_thread(work)
    if result is None:
        raise _no_host(request)
    return result


class _Query(msgspec.Struct, frozen=True, kw_only=True):
    start: float
    end: float
    step: float | None
    check: str | None
    name: str | None
    labels: dict[str, str]

    @classmethod
    def of(cls, items: list[tuple[str, str]], now: float) -> _Query:
        """Raises ApiError 422, naming the parameter and what was expected."""
        given: dict[str, str] = {}
        labels: dict[str, str] = {}
        for name, value in items:
            into, key = (labels, name.removeprefix("label.")) if name.startswith("label.") else (given, name)
            if key in into:
                raise parameters.bad(f"The parameter {name} is given twice.")
            into[key] = value
        if unknown := given.keys() - {"start", "end", "step", "check", "name"}:
            raise parameters.bad(
                f"There is no parameter {min(unknown)}; there are start, end, step, check, name and label.NAME."
            )
        end = _number(given, "end", now)
        start = _number(given, "start", end - SPAN)
        step = _number(given, "step", math.nan)
        if start >= end:
            raise parameters.bad("The range is empty: start must be before end.")
        if step <= 0:
            raise parameters.bad("step must be a number of seconds above 0.")
        return cls(
            start=start,
            end=end,
            step=None if math.isnan(step) else step,
            check=given.get("check"),
            name=given.get("name"),
            labels=labels,
        )


def _number(given: Mapping[str, str], name: str, default: float) -> float:
    if name not in given:
        return default
    try:
        value = float(given[name])
    except ValueError:
        value = math.nan
    if not 0 <= value <= LATEST:
        raise parameters.bad(f"{name} must be a number of seconds{'' if name == 'step' else ' since the epoch'}.")
    return value


def _no_host(request: Request) -> ApiError:
    return ApiError(
        HTTPStatus.NOT_FOUND, "not_found", f"There is no host with the id or name {request.path_params['host']}."
    )


_HOST = Parameter("host", "path", "The host's id or name.", {"type": "string"})
_SECONDS = {"type": "number", "minimum": 0, "maximum": LATEST}
_STEP = {"type": "number", "exclusiveMinimum": 0, "maximum": LATEST}

ENDPOINTS = (
    Endpoint(method="GET", path="/api/v1/hosts", access="viewer", handler=list_hosts, answer=HostList),
    Endpoint(
        method="GET",
        path="/api/v1/hosts/{host}",
        access="viewer",
        handler=show_host,
        answer=HostDetail,
        parameters=(_HOST,),
        refusals={404: "`not_found`: there is no such host."},
    ),
    Endpoint(
        method="GET",
        path="/api/v1/hosts/{host}/readings",
        access="viewer",
        handler=show_readings,
        answer=SeriesList,
        parameters=(
            _HOST,
            Parameter("start", "query", "Seconds since the epoch; an hour before `end` when left out.", _SECONDS),
            Parameter("end", "query", "Seconds since the epoch; now when left out.", _SECONDS),
            Parameter("step", "query", "Seconds between points; each is the mean of its step.", _STEP),
            Parameter("check", "query", "Only readings of this check.", {"type": "string"}),
            Parameter("name", "query", "Only readings of this name, such as cpu_used_percent.", {"type": "string"}),
            Parameter(
                "labels",
                "query",
                "Only readings with these labels: `label.mount=/var`.",
                {
                    "type": "object",
                    "propertyNames": {"pattern": "^label\\."},
                    "additionalProperties": {"type": "string"},
                },
                {"style": "form", "explode": True},
            ),
        ),
        refusals={404: "`not_found`: there is no such host.", 422: "`bad_parameter`: what is wrong with which."},
    ),
)
