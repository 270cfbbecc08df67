"""A URL: status, time, headers, body, and values picked out of JSON.

The request itself is in http_request.py, which loads `requests` and so is imported only where one is made.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec

from agent.checks.contract import (
    Bounds,
    Check,
    CheckOptions,
    Context,
    Every,
    Finding,
    Measurement,
    Rule,
    Sample,
    Threshold,
    Worse,
)
from agent.checks.patterns import check_pattern
from kit.units import Duration, Size

OWN = ("http_up", "http_status_code", "http_response_seconds")


class Value(Bounds, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A number in a JSON answer, as a reading with bounds of its own."""

    name: Annotated[
        str,
        msgspec.Meta(
            description="What the reading is called.",
            pattern=r"\A[a-z][a-z0-9_]*\Z",
            max_length=128,
            examples=["shop_queue_depth"],
            extra={"words": "a name of small letters, digits and _, beginning with a letter"},
        ),
    ]
    pointer: Annotated[
        str,
        msgspec.Meta(
            description="Where it is: a JSON Pointer (RFC 6901). true counts as 1, false as 0.",
            pattern=r"\A(/([^~]|~[01])*)?\Z",
            examples=["/queue/depth", "/items/0/age"],
            extra={"words": 'a JSON Pointer such as "/queue/depth"'},
        ),
    ]
    unit: Annotated[
        str,
        msgspec.Meta(
            description="For people: `percent`, `bytes`, `seconds`, `1/s`, or a word.",
            max_length=32,
            examples=["seconds"],
        ),
    ] = ""
    worse: Annotated[Worse, msgspec.Meta(description="Which way is bad.", examples=["below"])] = "above"


class HttpOptions(CheckOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A URL that must answer."""

    url: Annotated[
        str,
        msgspec.Meta(
            description="The address, without user and password.",
            pattern=r"\Ahttps?://\S+\Z",
            examples=["https://shop.example.com/health"],
            extra={"words": "an address that begins with http:// or https://"},
        ),
    ]
    every: Every = Duration(60)
    method: Annotated[
        Literal["GET", "HEAD", "POST", "PUT", "OPTIONS"],
        msgspec.Meta(description="The request's method.", examples=["HEAD"]),
    ] = "GET"
    headers: Annotated[
        dict[str, str],
        msgspec.Meta(description="Headers to send; no secrets.", examples=[{"Accept": "application/json"}]),
    ] = {}
    header_files: Annotated[
        dict[str, str],
        msgspec.Meta(
            description="Headers whose values are secrets: header to the file that holds the value, which others "
            "must not be able to read.",
            examples=[{"Authorization": "/etc/hostward/shop.token"}],
        ),
    ] = {}
    body: Annotated[str, msgspec.Meta(description="What to send.", examples=['{"ping": true}'])] = ""
    follow_redirects: Annotated[
        bool, msgspec.Meta(description="Whether to go where the server points, ten times at most.", examples=[False])
    ] = True
    ca_file: Annotated[
        str,
        msgspec.Meta(
            description="Certificates of the authorities to trust, PEM; empty for those of the system.",
            examples=["/etc/ssl/example-ca.pem"],
        ),
    ] = ""
    verify: Annotated[
        bool, msgspec.Meta(description="false takes any TLS certificate: anybody may answer.", examples=[False])
    ] = True
    status: Annotated[
        tuple[Annotated[int, msgspec.Meta(ge=100, le=599)], ...],
        msgspec.Meta(description="Status codes that are right; empty for any below 400.", examples=[[200, 204]]),
    ] = ()
    response: Annotated[
        Threshold, msgspec.Meta(description="Bounds of the seconds until the whole answer is there.")
    ] = Threshold(warning=2, critical=5)
    match: Annotated[
        str,
        msgspec.Meta(
            description="A regular expression that must be found in the body.", examples=['"status": *"(ok|UP)"']
        ),
    ] = ""
    required_headers: Annotated[
        dict[str, str],
        msgspec.Meta(
            description="Headers that the answer must have: name to a regular expression that must be found in "
            "the value; an empty one asks only for the header.",
            examples=[{"Strict-Transport-Security": "max-age="}],
        ),
    ] = {}
    body_max: Annotated[
        Size,
        msgspec.Meta(
            description="How much of the body is read.",
            examples=["64KiB"],
            extra={"minimum": Size(1), "maximum": Size(64 * 2**20)},
        ),
    ] = Size(2**20)
    values: Annotated[
        tuple[Value, ...],
        msgspec.Meta(
            description="Numbers to pick out of a JSON body.",
            max_length=100,
            examples=[[{"name": "shop_queue_depth", "pointer": "/queue/depth", "warning": 100}]],
        ),
    ] = ()

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            port = parts.port
        except ValueError as error:
            raise ValueError(f"url cannot be used: {error}") from None
        if parts.username is not None or parts.password is not None:
            raise ValueError("url must not hold a user or password; header_files keeps secrets")
        if not parts.hostname or port == 0:
            raise ValueError("url has no host, or an impossible port")
        check_pattern("match", self.match)
        for header, pattern in self.required_headers.items():
            check_pattern(f"required_headers.{header}", pattern)
        for header in (*self.headers, *self.header_files):
            if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", header):
                raise ValueError(f"{header!r} is not the name of a header")
        for header, value in self.headers.items():
            if not is_header_value(value):
                raise ValueError(f"headers.{header} must be printable ASCII without spaces around it")
        names = [value.name for value in self.values]
        for name in names:
            if name in OWN or names.count(name) > 1:
                raise ValueError(f"values: the name {name} is taken")


def is_header_value(text: str) -> bool:
    """Printable ASCII, as RFC 9110 asks of new header values."""
    return text.isascii() and text.isprintable() and text == text.strip()


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    seconds: float
    headers: Mapping[str, str]
    """Without regard to case."""
    body: str
    truncated: bool = False
    """Whether there was more than `body_max`."""


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Nothing came back, and why."""

    reason: str


class Http(Check[HttpOptions]):
    """A web page, or an application's endpoint for health, queues or metrics."""

    Options = HttpOptions
    runs = "job"

    def rules(self) -> list[Rule]:
        """The time, and each value by its own bounds."""
        return [
            Rule("http_response_seconds", self.options.response, "answered after {value}"),
            *(Rule(value.name, value) for value in self.options.values),
        ]

    def collect(self, context: Context) -> Sample:
        """Make the request."""
        deadline = time.monotonic() + self.options.patience
        # requests takes 6 MB and 60 ms, on a busy host seconds: only the child that makes a request pays for it.
        from agent.checks.http_request import request

        answer = request(self.options, deadline)
        if isinstance(answer, NoAnswer):
            # Of the address only the host: the rest may hold what not everybody should see.
            place = urlsplit(self.options.url).netloc
            return Sample([Measurement("http_up", 0)], [Finding("critical", f"{place}: {answer.reason}")])
        return judge_answer(self.options, answer)


def judge_answer(options: HttpOptions, answer: Answer) -> Sample:
    """What an answer is worth."""
    findings: list[Finding] = []
    expected = answer.status in options.status if options.status else answer.status < 400
    if not expected:
        wanted = f", expected {' or '.join(map(str, options.status))}" if options.status else ""
        findings.append(Finding("critical", f"answered with status {answer.status}{wanted}"))
    for header, pattern in options.required_headers.items():
        value = answer.headers.get(header)
        if value is None:
            findings.append(Finding("critical", f"the header {header} is missing"))
        elif not re.search(pattern, value):
            findings.append(Finding("critical", f"the header {header} does not match {pattern!r}"))
    more = f" in the first {options.body_max}" if answer.truncated else ""
    if options.match and not re.search(options.match, answer.body):
        findings.append(Finding("critical", f"the body does not match {options.match!r}{more}"))
    measurements = [
        Measurement("http_status_code", answer.status),
        Measurement("http_response_seconds", answer.seconds, "seconds"),
    ]
    picked, wrong = pick(options, answer)
    up = not any(finding.state == "critical" for finding in findings)
    measurements = [Measurement("http_up", float(up)), *measurements, *picked]
    summary = f"status {answer.status} after {answer.seconds * 1000:.0f} ms"
    return Sample(measurements, [*findings, *wrong], summary)


def pick(options: HttpOptions, answer: Answer) -> tuple[list[Measurement], list[Finding]]:
    """The values asked for, and what is to be said of those that are not there."""
    if not options.values:
        return [], []
    if answer.truncated:
        return [], [Finding("unknown", f"the body is larger than {options.body_max}, so no values were read")]
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        return [], [Finding("unknown", "the body is not JSON, so no values were read")]
    measurements: list[Measurement] = []
    findings: list[Finding] = []
    for value in options.values:
        try:
            number = to_number(resolve(document, value.pointer))
        except LookupError as error:
            findings.append(Finding("unknown", f"{value.name}: {error.args[0]}"))
        else:
            measurements.append(Measurement(value.name, number, value.unit))
    return measurements, findings


def resolve(document: Any, pointer: str) -> Any:
    """What a JSON Pointer (RFC 6901) points to. Raises LookupError, whose text says how far it led."""
    found = document
    tokens = pointer.split("/")[1:]
    for number, token in enumerate(tokens, start=1):
        here = "/" + "/".join(tokens[:number])
        key = token.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and key in found:
            found = found[key]
        elif isinstance(found, list) and re.fullmatch(r"0|[1-9][0-9]{0,8}", key) and int(key) < len(found):
            found = found[int(key)]
        else:
            raise LookupError(f"there is nothing at {here}")
    return found


def to_number(value: Any) -> float:
    """A JSON number or truth value as a float. Raises LookupError for anything else."""
    if isinstance(value, (int, float)):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    kinds = {dict: "an object", list: "an array", str: "text", type(None): "null"}
    raise LookupError(f"{kinds.get(type(value), 'a number without bounds')} where a number was expected")
