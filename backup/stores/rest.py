"""restic's REST protocol, versions 1 and 2, as rest-server and `rclone serve restic` speak it.

Source: restic, doc/100_references.rst and doc/REST_backend.rst.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import unquote, urlsplit, urlunsplit

import msgspec
import requests
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth
from urllib3.exceptions import HTTPError

from backup.stores.contract import (
    LONGEST,
    PIECE,
    AppendOnlyError,
    FileExistsStoreError,
    FileKind,
    FileMissingError,
    PermanentStoreError,
    SpooledFile,
    Store,
    StoreError,
    is_name,
)
from backup.stores.http import (
    CONNECT,
    READ,
    authorities,
    failed,
    refused,
    require_length,
    tidy,
)
from backup.stores.per_process import PerProcess
from backup.stores.upload import Upload, forget_spooled
from kit.errors import UsageError
from kit.terminal import clean

VERSION_2 = "application/vnd.x.restic.rest.v2"
MAX_LIST = 1 << 28
"""Bytes of a list of names: three million files, which hold some 50 TB."""
_LONGEST_WORDS = 1000
"""Bytes of what a server says about a refusal that are read."""
EXPECTED = "expected rest:https://HOST:PORT/PATH/"


class _Listed(msgspec.Struct):
    name: str
    size: int


class RestStore(Store):
    """Files behind a URL.

    rest-server makes an upload visible, or does not, as a whole; rclone may show a part until it has noticed that the
    rest does not come.
    """

    def __init__(
        self,
        url: str,
        *,
        user: str | None = None,
        password: str | None = None,
        is_named: bool = True,
        trusted: str | None = None,
        client_certificate: str | None = None,
    ) -> None:
        """`url` without credentials; `is_named` where `location` names the user; `trusted` where the certificates of
        authorities are, `client_certificate` a file with a certificate and its key (PEM).
        """
        self._url = url.rstrip("/") + "/"
        self.location = "rest:" + (self._url.replace("://", f"://{user}:***@", 1) if user and is_named else self._url)
        self._user = user
        self._password = password
        self._verify: str | bool = trusted or True
        self._certificate = client_certificate
        self._session = PerProcess(self._connect)

    def create(self) -> None:
        self._answer("POST", f"{self._url}?create=true").close()

    def save(self, kind: FileKind, name: str, content: bytes | SpooledFile) -> None:
        url = self._address(kind, name)
        if kind is FileKind.CONFIG and self._has_config():
            # Servers differ in whether they replace it, so that is not left to them.
            raise FileExistsStoreError(f"{url}: is there already")
        with Upload(content, self._sending) as body:
            # What has no length is sent in chunks, and what has a length of zero counts as such.
            data = body if len(body) else b""
            try:
                self._answer("POST", url, data, {"Content-Type": "application/octet-stream"}).close()
            except StoreError as error:
                if not error.permanent:
                    tidy(self, kind, name, content)
                    raise
                if kind is FileKind.CONFIG and self._has_config():
                    # Somebody else's, of the same size as all, unless a first try of ours went so far.
                    raise FileExistsStoreError(f"{url}: is there already") from error
                # rest-server refuses what is there already, perhaps from a first try whose answer was lost.
                if not self._has(kind, name, len(body)):
                    raise
        forget_spooled(content)

    def load(self, kind: FileKind, name: str, offset: int = 0, length: int | None = None) -> bytes:
        url = self._address(kind, name)
        if length == 0:
            if self.size(kind, name) < offset:
                raise PermanentStoreError(f"{url}: is shorter than {offset} bytes")
            return b""
        headers = {}
        if offset or length is not None:
            headers["Range"] = f"bytes={offset}-" + ("" if length is None else str(offset + length - 1))
        with self._answer("GET", url, headers=headers) as response:
            if headers and response.status_code != 206:
                raise PermanentStoreError(f"{url}: the server cannot send a part of a file")
            content = self._body(url, response, LONGEST[kind] if length is None else length)
        if length is not None and len(content) != length:
            raise PermanentStoreError(f"{url}: ends {length - len(content)} bytes before {offset + length}")
        return content

    def size(self, kind: FileKind, name: str) -> int:
        url = self._address(kind, name)
        with self._answer("HEAD", url) as response:
            text = response.headers.get("Content-Length", "")
        if not (text.isascii() and text.isdigit()):
            raise PermanentStoreError(f"{url}: the server does not say how long it is")
        return int(text)

    def list(self, kind: FileKind) -> Iterator[tuple[str, int]]:
        if kind is FileKind.CONFIG:
            try:
                yield "config", self.size(kind, "config")
            except FileMissingError:
                return
            return
        url = f"{self._url}{kind.value}/"
        try:
            with self._answer("GET", url) as response:
                second = response.headers.get("Content-Type", "").partition(";")[0].strip() == VERSION_2
                text = self._body(url, response, MAX_LIST)
        except FileMissingError as error:
            raise PermanentStoreError(f"{url}: there is no repository") from error
        try:
            if second:
                files = msgspec.json.decode(text, type=list[_Listed])
                yield from ((file.name, file.size) for file in files if is_name(kind, file.name))
                return
            names = msgspec.json.decode(text, type=list[str])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise StoreError(f"{url}: the answer is no list of files: {error}") from error
        for name in names:
            if is_name(kind, name):
                try:
                    yield name, self.size(kind, name)
                except FileMissingError:
                    continue  # removed meanwhile

    def remove(self, kind: FileKind, name: str) -> None:
        self._answer("DELETE", self._address(kind, name)).close()

    def close(self) -> None:
        session = self._session.take()
        if session is not None:
            session.close()

    def _has_config(self) -> bool:
        try:
            self.size(FileKind.CONFIG, "config")
        except FileMissingError:
            return False
        return True

    def _has(self, kind: FileKind, name: str, size: int) -> bool:
        """Whether there is such a file of this size."""
        try:
            return self.size(kind, name) == size
        except StoreError:
            return False

    def _address(self, kind: FileKind, name: str) -> str:
        if not is_name(kind, name):
            raise PermanentStoreError(f"{clean(name)[:100]}: not a name of a file in {kind.value}")
        return f"{self._url}config" if kind is FileKind.CONFIG else f"{self._url}{kind.value}/{name}"

    def _answer(
        self, method: str, url: str, body: Upload | bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> requests.Response:
        """An answer of success, its body yet to be read."""
        try:
            response = self._session.get().request(
                method,
                url,
                data=body,
                headers=dict(headers or {}),
                timeout=(CONNECT, READ),
                verify=self._verify,
                allow_redirects=False,
                stream=True,
            )
        except requests.exceptions.InvalidURL as error:
            raise PermanentStoreError(f"{url}: {error}") from error
        except (requests.RequestException, OSError) as error:
            raise failed(url, error) from error
        if response.status_code >= 300:
            words = _words(response)
            response.close()
            if response.status_code == 416:
                raise PermanentStoreError(f"{url}: is shorter than what was asked of it")
            if response.status_code == 403 and method == "DELETE":
                raise AppendOnlyError(f"{self.location}: the server removes nothing: it only takes what is added")
            raise refused(url, response.status_code, words)
        return response

    def _body(self, url: str, response: requests.Response, longest: int) -> bytes:
        """All of an answer. Raises StoreError where it was cut, or where it is longer than it may be."""
        require_length(url, response.headers)
        content = bytearray()
        try:
            # As it was sent: compression, which was not asked for, could make anything of it.
            for piece in response.raw.stream(PIECE, decode_content=False):
                self._received(len(piece))
                content += piece
                if len(content) > longest:
                    raise PermanentStoreError(f"{url}: the server sent more than the {longest} bytes that can be")
        except (HTTPError, OSError) as error:
            raise failed(url, error) from error
        return bytes(content)

    def _connect(self) -> requests.Session:
        session = requests.Session()
        adapter = HTTPAdapter(pool_connections=1, pool_maxsize=self.connections, max_retries=0)
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        session.headers.update({"Accept": VERSION_2, "Accept-Encoding": "identity"})
        if self._user is not None:
            session.auth = HTTPBasicAuth(self._user.encode(), (self._password or "").encode())
        if self._certificate:
            session.cert = self._certificate
        return session


def _words(response: requests.Response) -> str:
    """Why the server refuses: what it says in plain text, as home and rest-server do, else the status' words."""
    reason = response.reason or ""
    media_type = response.headers.get("Content-Type", "").partition(";")[0].strip()
    if response.request.method == "HEAD" or media_type != "text/plain":
        return reason
    try:
        said = response.raw.read(_LONGEST_WORDS, decode_content=False)
    except (HTTPError, OSError):
        return reason
    return " ".join(said.decode(errors="replace").split()) or reason


def open_location(text: str, environment: Mapping[str, str]) -> RestStore:
    """The URL that follows `rest:`; RESTIC_REST_USERNAME and RESTIC_REST_PASSWORD where it has no credentials,
    RESTIC_CACERT, RESTIC_TLS_CLIENT_CERT. Raises UsageError, which shows no password.
    """
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise UsageError(f"rest: does not name a URL: {EXPECTED}")
    place = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
    user = unquote(parts.username) if parts.username else environment.get("RESTIC_REST_USERNAME") or None
    password = unquote(parts.password) if parts.password else environment.get("RESTIC_REST_PASSWORD")
    return RestStore(
        urlunsplit((parts.scheme, place, parts.path, "", "")),
        user=user,
        password=password,
        is_named=parts.username is not None,
        trusted=authorities(environment),
        client_certificate=environment.get("RESTIC_TLS_CLIENT_CERT") or None,
    )
