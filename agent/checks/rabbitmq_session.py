"""The requests of the rabbitmq check. Loads `requests`."""

from __future__ import annotations

import os
import ssl
import time
from base64 import b64encode
from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec
import requests
import urllib3

from agent.checks.contract import CheckError
from agent.checks.drivers import read_password, told
from agent.checks.rabbitmq import Answer, Node, Overview, Queue, RabbitmqOptions
from kit.units import format_duration
from kit.version import __version__

T = TypeVar("T")

PAGE = 500
"""Queues to a page; the API takes no more."""
PAGES = 10
"""Queues beyond are those with the fewest messages."""
BODY_MAX = 8 * 2**20
COLUMNS = (
    "name,vhost,state,consumers,messages,messages_ready,messages_unacknowledged,arguments,effective_policy_definition"
)


class RefusedError(Exception):
    """The API answered, and not with what was asked; the text says how."""


class Page(msgspec.Struct, frozen=True):
    """One page of /api/queues."""

    items: list[Queue]
    page_count: int = 1
    total_count: int = 0


def ask(options: RabbitmqOptions, deadline: float) -> Answer | str:
    """What the API says until `deadline` by time.monotonic, or why it said nothing.

    Raises CheckError where the password or the certificates cannot be read.
    """
    password = read_password(options.password_file)
    if options.ca_file and not os.access(options.ca_file, os.R_OK):
        raise CheckError(f"the certificates in {options.ca_file} cannot be read")
    if not options.verify:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    place = urlsplit(options.url).netloc
    try:
        with requests.Session() as session:
            # No proxies, passwords or authorities from the environment: only what is configured.
            session.trust_env = False
            # requests itself would write a password in Latin-1, and show in an error what of it is none.
            credentials = b64encode(f"{options.user}:{password}".encode()).decode()
            session.headers["Authorization"] = f"Basic {credentials}"
            session.headers["User-Agent"] = f"hostward/{__version__}"
            session.verify = (options.ca_file or _authorities()) if options.verify else False
            return _Api(session, options, deadline).answer()
    except RefusedError as error:
        return f"{place}: {told(error, password)}"
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        return f"{place}: {told(Exception(_explain(error, options.patience)), password)}"


class _Api:
    """The management API, within one deadline."""

    def __init__(self, session: requests.Session, options: RabbitmqOptions, deadline: float) -> None:
        self.session = session
        self.options = options
        self.deadline = deadline

    def answer(self) -> Answer:
        overview = self.get("overview", Overview)
        nodes = self.get("nodes", list[Node])
        queues: list[Queue] = []
        problems = []
        for number in range(1, PAGES + 1):
            page = self.get(
                "queues",
                Page,
                page=str(number),
                page_size=str(PAGE),
                sort="messages",
                sort_reverse="true",
                columns=COLUMNS,
            )
            queues += page.items
            if number >= page.page_count:
                break
        else:
            problems.append(f"of {page.total_count} queues only the {len(queues)} with most messages were looked at")
        if not queues and (hidden := overview.object_totals.queues):
            user = self.options.user
            problems.append(f"{hidden} queues are hidden: user {user} has no permissions in their virtual hosts")
        return Answer(overview=overview, nodes=nodes, queues=queues, problems=problems)

    def get(self, resource: str, kind: type[T], **parameters: str) -> T:
        """A resource as a struct. Redirects are not followed: they would take the password along."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise requests.Timeout
        with self.session.get(
            f"{self.options.url.rstrip('/')}/api/{resource}",
            params=parameters,
            timeout=left,
            stream=True,
            allow_redirects=False,
        ) as response:
            body = self._body(response)
            if response.status_code in (401, 403):
                raise RefusedError(f"user {self.options.user} is refused (status {response.status_code}){_why(body)}")
            if response.status_code != 200:
                raise RefusedError(f"answered with status {response.status_code}{_why(body)}")
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise RefusedError(f"what answers /api/{resource} is not RabbitMQ's management plugin") from None

    def _body(self, response: requests.Response) -> bytes:
        body = bytearray()
        while len(body) <= BODY_MAX:
            if time.monotonic() > self.deadline:
                raise requests.Timeout
            chunk = response.raw.read1(65536, decode_content=True)
            if not chunk:
                return bytes(body)
            body += chunk
        raise RefusedError(f"an answer is larger than {BODY_MAX // 2**20} MiB")


def _why(body: bytes) -> str:
    """What the API says beside a status, as `{"error": …, "reason": …}`."""
    try:
        said = msgspec.json.decode(body, type=Mapping[str, object]).get("reason")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return f": {said[:200]}" if isinstance(said, str) else ""


def _authorities() -> str | bool:
    """The system's own authorities, as OpenSSL finds them; True for those that requests brings along."""
    paths = ssl.get_default_verify_paths()
    return paths.cafile or paths.capath or True


def _explain(error: BaseException, patience: float) -> str:
    """Why there was no answer, in one sentence: what is at the bottom of what requests raises."""
    chain = [error]
    while (under := chain[-1].__cause__ or chain[-1].__context__) is not None and under not in chain:
        chain.append(under)
    for found in reversed(chain):
        match found:
            case ssl.SSLCertVerificationError():
                return f"the TLS certificate is not trusted: {found.verify_message}"
            case ssl.SSLError():
                return f"TLS failed: {found.reason or found.strerror or 'the other side broke it off'}"
            case TimeoutError() | requests.Timeout():
                return f"no answer within {format_duration(patience)}"
            case requests.RequestException():
                continue
            case OSError() if found.strerror:
                return found.strerror
    return "the connection was closed before the answer was complete"
