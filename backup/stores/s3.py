"""Objects in a bucket of S3 or of whatever speaks like it, in restic's default layout."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

import urllib3
from minio import Minio
from minio.credentials.providers import Provider
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError
from urllib3.exceptions import HTTPError

from backup.stores.contract import (
    LONGEST,
    PIECE,
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
from backup.stores.layout import path_of
from backup.stores.per_process import PerProcess
from backup.stores.s3_credentials import credentials
from backup.stores.upload import Upload, forget_spooled
from kit.errors import UsageError
from kit.terminal import bounded

EXPECTED = "expected s3:HOST/BUCKET/PREFIX or s3:https://HOST:PORT/BUCKET/PREFIX"

_MIN_PART = 5 * 1024 * 1024
"""Bytes: a smaller part is refused by the library. Files are sent in one part, so that they appear by one request."""
_PASSING = {"IncompleteBody", "InternalError", "OperationAborted", "RequestTimeout", "SlowDown", "Throttling"}
"""Codes of errors that speak of the moment, whatever their status: Amazon S3 API Reference, "Error responses"."""
_LONGEST_ANSWER = 16 << 20
"""Bytes of an answer that is no file: a list has a thousand keys, in some 500 KB."""
_Headers = dict[str, str | list[str] | tuple[str]]
_ARCHIVES = {"GLACIER", "DEEP_ARCHIVE"}
"""Storage classes from which nothing can be read at once."""
_NO_FILE = {"NoSuchKey", "NoSuchBucket"}
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{1,61}[A-Za-z0-9]")
"""What the library takes: old buckets of S3 and those of other servers have names that S3 gives to no new one."""


class S3Store(Store):
    """A prefix in a bucket. S3 makes an object visible, or does not, as a whole; not all that speak like it do."""

    def __init__(
        self, host: str, bucket: str, prefix: str, *, secure: bool, region: str | None, credentials: Provider,
        trusted: str | None = None, lookup: str = "auto", storage_class: str = "", list_v1: bool = False,
    ) -> None:  # fmt: skip
        """`host` may have a port; `trusted` is where the certificates of authorities are.

        `lookup` says where the bucket's name stands: in the host's (`dns`), in the path, or as the library thinks.
        """
        scheme = "https" if secure else "http"
        self.location = f"s3:{scheme}://{host}/{bucket}" + (f"/{prefix}" if prefix else "")
        self._host = host
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._secure = secure
        self._region = region
        self._credentials = credentials
        self._trusted = trusted
        self._lookup = lookup
        self._storage_class = storage_class
        self._list_v1 = list_v1
        self._client = PerProcess(self._connect)

    def create(self) -> None:
        with self._told(self.location):
            client = self._client.get()
            try:
                there = client.bucket_exists(self._bucket)
            except S3Error as error:
                if error.code != "AccessDenied":
                    raise
                # Who may only use a bucket is not told whether it is there, but may look into it.
                there = True
                next(client.list_objects(self._bucket, self._prefix), None)
            if not there:
                client.make_bucket(self._bucket, self._region)

    def save(self, kind: FileKind, name: str, content: bytes | SpooledFile) -> None:
        key = self._key(kind, name)
        if kind is FileKind.CONFIG:
            try:
                self.size(kind, name)
            except FileMissingError:
                pass
            else:
                raise FileExistsStoreError(f"{self.location}/config: is there already")
        try:
            with self._told(key), ExitStack() as stack:
                stream, size = _stream(content, stack)
                headers = self._headers(kind, content)
                self._client.get().put_object(
                    self._bucket, key, stream, size, metadata=headers, part_size=max(_MIN_PART, size)
                )
        except StoreError as error:
            if not error.permanent:
                tidy(self, kind, name, content)
            raise
        forget_spooled(content)

    def load(self, kind: FileKind, name: str, offset: int = 0, length: int | None = None) -> bytes:
        key = self._key(kind, name)
        if length == 0:
            if self.size(kind, name) < offset:
                raise PermanentStoreError(f"{key}: is shorter than {offset} bytes")
            return b""
        headers: _Headers = {}
        if offset or length is not None:
            headers["Range"] = f"bytes={offset}-" + ("" if length is None else str(offset + length - 1))
        content = bytearray()
        longest = LONGEST[kind] if length is None else length
        with self._told(key, absent=True):
            response = self._client.get().get_object(self._bucket, key, request_headers=headers)
            try:
                require_length(key, response.headers)
                # By its words, not by its status: not every server says 206.
                if headers and not response.headers.get("Content-Range", "").startswith(f"bytes {offset}-"):
                    raise PermanentStoreError(
                        f"{key}: the server did not send the part of the file that was asked for"
                    )
                for piece in response.stream(PIECE, decode_content=False):
                    self._received(len(piece))
                    content += piece
                    if len(content) > longest:
                        raise PermanentStoreError(f"{key}: the server sent more than the {longest} bytes that can be")
            finally:
                response.close()
                response.release_conn()
        if length is not None and len(content) != length:
            raise PermanentStoreError(f"{key}: ends {length - len(content)} bytes before {offset + length}")
        return bytes(content)

    def size(self, kind: FileKind, name: str) -> int:
        key = self._key(kind, name)
        with self._told(key, absent=True):
            size = self._client.get().stat_object(self._bucket, key).size
        if size is None:
            raise PermanentStoreError(f"{key}: the server does not say how long it is")
        return size

    def list(self, kind: FileKind) -> Iterator[tuple[str, int]]:
        if kind is FileKind.CONFIG:
            try:
                yield "config", self.size(kind, "config")
            except FileMissingError:
                return
            return
        folder = f"{self._prefix}{kind.value}/"
        with self._told(folder):
            for found in self._client.get().list_objects(
                self._bucket, folder, recursive=True, use_api_v1=self._list_v1
            ):
                key = found.object_name or ""
                name = key.rpartition("/")[2]
                if is_name(kind, name) and key == self._key(kind, name) and found.size is not None:
                    yield name, found.size

    def remove(self, kind: FileKind, name: str) -> None:
        key = self._key(kind, name)
        with self._told(key, absent=True):
            self._client.get().remove_object(self._bucket, key)

    def close(self) -> None:
        self._client.take()  # its connections end with it

    def _key(self, kind: FileKind, name: str) -> str:
        return self._prefix + path_of(kind, name)

    def _connect(self) -> Minio:
        context = None
        if self._secure:
            folder = self._trusted is not None and Path(self._trusted).is_dir()
            context = ssl.create_default_context(
                cafile=None if folder else self._trusted, capath=self._trusted if folder else None
            )
        client = Minio(
            self._host,
            secure=self._secure,
            region=self._region,
            credentials=self._credentials,
            http_client=_Client(self._sending, self.connections, context),
        )
        if self._lookup == "dns":
            client.enable_virtual_style_endpoint()  # type: ignore[no-untyped-call]
        elif self._lookup == "path":
            client.disable_virtual_style_endpoint()  # type: ignore[no-untyped-call]
        return client

    def _headers(self, kind: FileKind, content: bytes | SpooledFile) -> _Headers:
        """The storage class. What is read again and again cannot lie in an archive: there only packs of data go."""
        is_data = kind is FileKind.PACK and not (isinstance(content, SpooledFile) and content.trees)
        if not self._storage_class or (self._storage_class in _ARCHIVES and not is_data):
            return {}
        return {"x-amz-storage-class": self._storage_class}

    @contextmanager
    def _told(self, what: str, *, absent: bool = False) -> Iterator[None]:
        """What the library raises as the StoreError that it means; `absent`: a missing bucket is a missing file."""
        try:
            yield
        except S3Error as error:
            raise self._refused(what, error.response.status, error.code, error.message, absent) from error
        except InvalidResponseError as error:
            # Not every server that answers in XML says so.
            code = re.search(r"<Code>(\w{1,100})</Code>", error._body or "")
            raise self._refused(what, error._code, code and code.group(1), None, absent) from error
        except ServerError as error:
            raise self._refused(what, error.status_code, None, None, absent) from error
        except HTTPError as error:
            raise failed(self.location, error) from error
        except (MinioException, OSError, ValueError, SyntaxError) as error:  # the last for XML that is none
            raise StoreError(f"{self.location}: {bounded(str(error), 300)}") from error

    def _refused(self, what: str, status: int, code: str | None, message: str | None, absent: bool) -> StoreError:
        """Without a code it was no S3 that answered: a missing page of a web server is no missing file."""
        if code in _NO_FILE and absent:
            return FileMissingError(f"{self.location}: {what}: there is no such file")
        told = bounded(f"{code or ''} {message or ''}".strip(), 200)
        words = f"{self.location}: the server answered {status} {told}".rstrip()
        passing = code in _PASSING or not refused("", status, "").permanent
        return StoreError(words) if passing else PermanentStoreError(words)


class _Client(urllib3.PoolManager):
    """Sends bodies piece by piece and tries nothing again: what may be tried again is for others to say."""

    def __init__(self, sending: Callable[[int], None], connections: int, context: ssl.SSLContext | None) -> None:
        secure: dict[str, Any] = {} if context is None else {"ssl_context": context, "cert_reqs": "CERT_REQUIRED"}
        super().__init__(
            timeout=urllib3.Timeout(connect=CONNECT, read=READ), maxsize=connections, retries=False, **secure
        )
        self._sending = sending

    def urlopen(  # type: ignore[override]  # as its own superclass has it
        self, method: str, url: str, redirect: bool = True, **arguments: Any
    ) -> urllib3.BaseHTTPResponse:
        if arguments.get("body"):
            arguments["body"] = Upload(arguments["body"], self._sending)
        whole = arguments.pop("preload_content", True)
        response = super().urlopen(method, url, redirect=False, preload_content=False, **arguments)
        # The library reads what is no success as a whole, too.
        return _bounded(response) if whole or response.status >= 300 else response


def _bounded(response: urllib3.BaseHTTPResponse) -> urllib3.BaseHTTPResponse:
    """The same answer with its body, which the library would read however long it is, and decompress."""
    body = bytearray()
    try:
        for piece in response.stream(PIECE, decode_content=False):
            body += piece
            if len(body) > _LONGEST_ANSWER:
                response.close()
                raise PermanentStoreError(f"the server sent more than the {_LONGEST_ANSWER} bytes that can be")
    finally:
        response.release_conn()
    return urllib3.HTTPResponse(
        BytesIO(body),
        response.headers,
        response.status,
        reason=response.reason,
        decode_content=False,
        enforce_content_length=False,  # which it has been; and an answer to HEAD has none
    )


def _stream(content: bytes | SpooledFile, stack: ExitStack) -> tuple[BinaryIO, int]:
    if not isinstance(content, SpooledFile):
        return BytesIO(content), len(content)
    try:
        stream = stack.enter_context(content.path.open("rb"))
        found = content.path.stat().st_size
    except OSError as error:
        raise PermanentStoreError(f"{content.path}: {error.strerror}") from error
    if found != content.size:
        raise PermanentStoreError(f"{content.path}: is {found} bytes long, expected {content.size}")
    return stream, found


def open_location(text: str, environment: Mapping[str, str], settings: Mapping[str, str]) -> S3Store:
    """The bucket and prefix that follow `s3:`; `settings` are restic's extended options. Raises UsageError.

    AWS_DEFAULT_REGION and RESTIC_CACERT count, and what s3_credentials.py looks for.
    """
    scheme, host, path = _parts(text)
    bucket, _, prefix = path.strip("/").partition("/")
    if not host or not bucket:
        raise UsageError(f"s3: does not name a host and a bucket: {EXPECTED}")
    if not _BUCKET.fullmatch(bucket):
        raise UsageError(
            f's3: "{bounded(bucket, 80)}" is no name of a bucket: expected 3 to 63 letters, digits, dots and hyphens,'
            " a letter or digit first and last"
        )
    region = settings.get("region") or environment.get("AWS_DEFAULT_REGION") or environment.get("AWS_REGION")
    if not region and not host.endswith((".amazonaws.com", ".amazonaws.com.cn")):
        region = "us-east-1"  # what servers other than Amazon's take where they have no regions
    return S3Store(
        host,
        bucket,
        prefix.strip("/"),
        secure=scheme == "https",
        region=region or None,
        credentials=credentials(environment),
        trusted=authorities(environment),
        lookup=_one_of(settings, "bucket-lookup", ("auto", "dns", "path")),
        storage_class=settings.get("storage-class", ""),
        list_v1=_one_of(settings, "list-objects-v1", ("false", "true")) == "true",
    )


def _one_of(settings: Mapping[str, str], name: str, values: tuple[str, ...]) -> str:
    value = settings.get(name, values[0]).lower()
    if value not in values:
        raise UsageError(f's3.{name}="{bounded(value, 40)}": expected {" or ".join(values)}')
    return value


def _parts(text: str) -> tuple[str, str, str]:
    """Scheme, host with its port, path."""
    if text.startswith(("http://", "https://")):
        try:
            parts = urlsplit(text)
            parts.port  # noqa: B018  # raises for what is no number
        except ValueError:
            return "", "", ""
        # Credentials have no place here, and would be shown.
        return (parts.scheme, parts.netloc, unquote(parts.path)) if "@" not in parts.netloc else ("", "", "")
    host, _, path = text.removeprefix("//").partition("/")
    return "https", host, path
