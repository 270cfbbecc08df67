"""How a program on an administrator's machine knows home: a small TOML file, and a client of home's API.

url = "https://home.example.net:8443"
ca = "~/.config/hostward/ca.pem"              # the copy of home's ca.pem; left out: what the machine trusts
token_file = "~/.config/hostward/api-token"   # of `hostward-collector api-token create`, for nobody else to read
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Annotated, TypeVar
from urllib.parse import urlsplit

import msgspec
import requests

from kit.credentials import SecretError, read_secret
from kit.errors import ConfigurationError, HostwardError
from kit.options.load import MistakesError, load
from kit.terminal import clean

T = TypeVar("T")
VARIABLE = "HOSTWARD_HOME_FILE"
PLACE = Path("~/.config/hostward/home.toml")
MAX_ANSWER = 64 << 20
"""Bytes of an answer. A fleet of 10,000 hosts takes a tenth of it."""
MAKING = "`hostward-collector api-token create` makes one"
TIMEOUT = (5.0, 30.0)
"""Seconds to connect, and between two parts of the answer."""


class HomeError(HostwardError):
    """Home cannot be asked, or refuses; says where and why. `status` is HTTP's, 0 where there was no answer."""

    def __init__(self, message: str, *, status: int = 0, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        """What the API calls the problem: `taken`, `not_found`…"""

    @property
    def is_away(self) -> bool:
        """Whether asking again later may help, without anybody having to change something."""
        return self.status in (0, 429) or self.status >= 500


class HomeFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where home is, and who asks."""

    url: Annotated[str, msgspec.Meta(description="Where home is.", examples=["https://home.example.net:8443"])]
    ca: Annotated[
        str | None, msgspec.Meta(description="A copy of home's ca.pem; what the machine trusts when left out.")
    ] = None
    token_file: Annotated[str, msgspec.Meta(description="A file with an API token, for nobody else to read.")]


def home_file(given: Path | None = None) -> Path | None:
    """The file that is `given`, that HOSTWARD_HOME_FILE names, or that is at its place; None where there is none.

    Only the last may be missing without that being a mistake (`open_home` tells it).
    """
    if given is not None:
        return given
    if named := os.environ.get(VARIABLE):
        return Path(named)
    usual = PLACE.expanduser()
    return usual if usual.exists() else None


class _Problem(msgspec.Struct, frozen=True):
    message: str
    code: str = ""


class _Refusal(msgspec.Struct, frozen=True):
    """What home's API answers instead of what was asked for."""

    error: _Problem


class Home:
    """Home's API, as one API token may use it."""

    def __init__(self, url: str, token: str, ca: Path | None) -> None:
        self.url = url.rstrip("/")
        self._session = requests.Session()
        # Neither proxies nor passwords of the environment: home is named, and so is who asks.
        self._session.trust_env = False
        self._session.headers["Authorization"] = f"Bearer {token}"
        self._session.verify = True if ca is None else str(ca)

    def get(self, path: str, answer: type[T]) -> T:
        """Ask for what is at `path`. Raises HomeError, as all of these do."""
        return self._decoded(self._ask("GET", path, None), answer, path)

    def post(self, path: str, body: object, answer: type[T]) -> T:
        """Give home something new."""
        return self._decoded(self._ask("POST", path, body), answer, path)

    def put(self, path: str, body: object, answer: type[T]) -> T:
        """Give home what is to be at `path`."""
        return self._decoded(self._ask("PUT", path, body), answer, path)

    def delete(self, path: str) -> None:
        """Take away what is at `path`."""
        self._ask("DELETE", path, None)

    def close(self) -> None:
        """Close its connections."""
        self._session.close()

    def _ask(self, method: str, path: str, body: object) -> bytes:
        data = None if body is None else msgspec.json.encode(body)
        headers = {} if data is None else {"Content-Type": "application/json"}
        try:
            with self._session.request(
                method,
                self.url + path,
                data=data,
                headers=headers,
                timeout=TIMEOUT,
                allow_redirects=False,
                stream=True,
            ) as response:
                content = _read(response, self.url)
        except requests.exceptions.SSLError as error:
            raise HomeError(f"{self.url} is not the home that its certificate should prove: {_root(error)}") from None
        except (requests.RequestException, OSError) as error:
            raise HomeError(f"{self.url} cannot be reached: {_root(error)}") from None
        if not 200 <= response.status_code < 300:
            raise _refusal(self.url, method, path, response.status_code, content)
        return content

    def _decoded(self, content: bytes, answer: type[T], path: str) -> T:
        try:
            return msgspec.json.decode(content, type=answer)
        except msgspec.DecodeError as error:
            raise HomeError(f"{self.url}{path} answers what cannot be understood: {error}", status=502) from None


def open_home(file: Path) -> Home:
    """The home that `file` tells of. Raises ConfigurationError for mistakes in it, with their lines."""
    try:
        found = load(HomeFile, file, must_exist=True).value
    except MistakesError as error:
        raise ConfigurationError(
            "\n".join(f"{file}: {_without(line, file)}" for line in str(error).splitlines())
        ) from None
    parts = urlsplit(found.url)
    if parts.scheme != "https" or not parts.hostname or parts.path.strip("/") or parts.query or parts.username:
        raise ConfigurationError(f"{file}: url is {clean(found.url)}; expected https://NAME:PORT")
    ca = None if found.ca is None else _beside(file, found.ca)
    if ca is not None and not ca.is_file():
        raise ConfigurationError(f"{file}: ca: there is no file {ca}; expected a copy of home's ca.pem")
    try:
        token = read_secret(str(_beside(file, found.token_file)))
    except SecretError as error:
        raise ConfigurationError(f"{file}: token_file: {error}; {MAKING}") from None
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigurationError(f"{file}: token_file holds no API token; {MAKING}")
    return Home(found.url, token, ca)


def _without(line: str, file: Path) -> str:
    """A mistake without the file, which not all of them name."""
    return line.removeprefix(f"{file}: ").removeprefix(f"{file}:")


def _beside(file: Path, path: str) -> Path:
    """Paths count from the folder of the file that names them."""
    return (file.parent / Path(path).expanduser()).absolute()


def _read(response: requests.Response, url: str) -> bytes:
    content = b""
    for piece in response.iter_content(1 << 16):
        content += piece
        if len(content) > MAX_ANSWER:
            raise HomeError(f"{url} answers more than {MAX_ANSWER >> 20} MiB", status=502)
    return content


def _refusal(url: str, method: str, path: str, status: int, content: bytes) -> HomeError:
    """Its words, where it is home that refuses and nobody in between."""
    try:
        problem = msgspec.json.decode(content, type=_Refusal).error
    except msgspec.DecodeError:
        problem = _Problem(message=f"HTTP {status}")
    if status == 401:
        why = "takes no such API token: it is another home's, has expired or was revoked"
        return HomeError(f"{url} {why}; `hostward-collector api-token create` makes one", status=status)
    return HomeError(f"{url} refused {method} {path}: {clean(problem.message)}", status=status, code=problem.code)


def _root(error: BaseException) -> str:
    """What is at the bottom of what requests and urllib3 wrapped, in a few words."""
    chain = [error]
    while (under := chain[-1].__cause__ or chain[-1].__context__) is not None and under not in chain:
        chain.append(under)
    for found in reversed(chain):
        if isinstance(found, ssl.SSLError):
            return clean(str(getattr(found, "verify_message", "") or found.reason or "TLS failed"))
        if isinstance(found, OSError) and found.strerror:
            return clean(found.strerror)
    return clean(str(chain[-1]))
