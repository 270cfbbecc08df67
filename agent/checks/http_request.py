"""The request of the http check. Loads `requests`."""

from __future__ import annotations

import http.client
import os
import ssl
import stat
import time
from pathlib import Path
from typing import Any

import requests
import urllib3

from agent.checks.contract import CheckError
from agent.checks.http import Answer, HttpOptions, NoAnswer, is_header_value
from kit.units import format_duration
from kit.version import __version__

CHUNK = 65536
MAX_REDIRECTS = 10
MAX_SECRET = 65536


class _Adapter(requests.adapters.HTTPAdapter):
    """Keeps the whole exchange, redirects included, within one deadline."""

    def __init__(self, deadline: float) -> None:
        super().__init__()
        self.deadline = deadline

    def send(  # type: ignore[override]  # the stubs name each argument; this hands them on
        self, request: requests.PreparedRequest, **arguments: Any
    ) -> requests.Response:
        """Send with the time that is left. The body of a redirect is not read: it may have no end."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise requests.Timeout
        response = super().send(request, **{**arguments, "timeout": left})
        if response.is_redirect:
            response.raw.close()
        return response


class _Session(requests.Session):
    """Sends secret headers only to the place that they are meant for."""

    def __init__(self, options: HttpOptions, deadline: float) -> None:
        super().__init__()
        # No proxies, passwords or authorities from the environment: only what is configured.
        self.trust_env = False
        self.max_redirects = MAX_REDIRECTS
        self.secret = list(options.header_files)
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter(deadline))

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Called for every redirect."""
        super().rebuild_auth(prepared_request, response)  # type: ignore[no-untyped-call]  # the stubs have no types
        if self.should_strip_auth(response.request.url, prepared_request.url):  # type: ignore[no-untyped-call]
            for header in self.secret:
                prepared_request.headers.pop(header, None)


def request(options: HttpOptions, deadline: float) -> Answer | NoAnswer:
    """Send the request and read the answer, up to `body_max`, until `deadline` by time.monotonic.

    Raises CheckError where the configuration's files cannot be used.
    """
    headers = {"User-Agent": f"hostward/{__version__}", "Accept-Encoding": "identity"} | options.headers
    headers |= {header: read_secret(Path(file)) for header, file in options.header_files.items()}
    if options.ca_file and not os.access(options.ca_file, os.R_OK):
        raise CheckError(f"the certificates in {options.ca_file} cannot be read")
    if not options.verify:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    started = time.monotonic()
    try:
        with (
            _Session(options, deadline) as session,
            session.request(
                options.method,
                options.url,
                headers=headers,
                data=options.body.encode() or None,
                allow_redirects=options.follow_redirects,
                stream=True,
                verify=(options.ca_file or _authorities()) if options.verify else False,
            ) as response,
        ):
            body, truncated = _read(response, options.body_max, deadline)
            return Answer(
                response.status_code,
                time.monotonic() - started,
                response.headers,
                _text(body, response.encoding),
                truncated,
            )
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        return NoAnswer(explain(error, options.patience))


def _read(response: requests.Response, limit: int, deadline: float) -> tuple[bytes, bool]:
    """The body up to `limit`, and whether there was more. `read1` gives what is there, so drops cannot add up."""
    body = bytearray()
    while len(body) <= limit:
        if time.monotonic() > deadline:
            raise TimeoutError
        chunk = response.raw.read1(CHUNK, decode_content=True)
        if not chunk:
            break
        body += chunk
    return bytes(body[:limit]), len(body) > limit


def _text(body: bytes, encoding: str | None) -> str:
    try:
        return body.decode(encoding or "utf-8", "replace")
    except LookupError:  # a charset that nobody knows
        return body.decode("utf-8", "replace")


def _authorities() -> str | bool:
    """The system's own authorities, as OpenSSL finds them; True for those that requests brings along."""
    paths = ssl.get_default_verify_paths()
    return paths.cafile or paths.capath or True


def read_secret(file: Path) -> str:
    """A header's value from a file. Raises CheckError, which never says what is in the file."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise CheckError(f"the secret in {file} cannot be read: {error.strerror}") from None
    with open(descriptor, "rb") as opened:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise CheckError(f"{file} is not a file that could hold a secret")
        if mode & stat.S_IRWXO:
            raise CheckError(f"the secret in {file} can be read or changed by every user; chmod o-rwx it")
        data = opened.read(MAX_SECRET)
    text = data.decode("latin-1").strip()
    if not text or not is_header_value(text):
        raise CheckError(f"{file} must hold one line of printable ASCII")
    return text


def explain(error: Exception, patience: float) -> str:
    """Why there was no answer, in one sentence. What requests says itself is the representation of its objects."""
    chain: list[BaseException] = [error]
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
            case requests.TooManyRedirects():
                return f"redirected more than {MAX_REDIRECTS} times"
            case requests.exceptions.InvalidURL() | requests.exceptions.InvalidSchema():
                return "the address, or one that it redirects to, cannot be used"
            case http.client.IncompleteRead():
                return "the connection was closed before the answer was complete"
            case http.client.RemoteDisconnected():
                return "the connection was closed without an answer"
            case http.client.HTTPException():
                return "what answered does not speak HTTP"
            case urllib3.exceptions.DecodeError():
                return "the body cannot be decompressed"
            case urllib3.exceptions.HTTPError() | requests.RequestException():
                continue
            case OSError() if found.strerror:
                return found.strerror
    return f"the request failed: {type(error).__name__}"
