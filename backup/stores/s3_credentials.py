"""Where the keys to S3 come from: the environment, a file, or the machine that this runs on.

Source: AWS SDKs and Tools Reference Guide, "Settings reference"; the providers are the library's.
"""

from __future__ import annotations

from collections.abc import Mapping
from configparser import Error as ConfigParserError

from minio.credentials.credentials import Credentials
from minio.credentials.providers import AWSConfigProvider, IamAwsProvider, Provider, StaticProvider
from urllib3 import PoolManager, Retry, Timeout
from urllib3.exceptions import HTTPError

from backup.stores.contract import PermanentStoreError, StoreError
from backup.stores.home import home_of
from kit.errors import UsageError
from kit.terminal import bounded, clean

EXPECTED = "expected AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment"
_ROLES = (
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)
"""Any of these says where a container or a pod gets credentials."""
_CONNECT, _READ = 2.0, 10.0
"""Seconds. Where there is no such service its address often swallows everything."""


def credentials(environment: Mapping[str, str]) -> Provider:
    """AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN; or those of AWS_PROFILE in
    AWS_SHARED_CREDENTIALS_FILE (~/.aws/credentials); or the role of the container or instance, which is asked for
    only when it is needed. Raises UsageError.
    """
    key, secret = environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY")
    if key and secret:
        return StaticProvider(key, secret, environment.get("AWS_SESSION_TOKEN") or None)
    if key or secret:
        missing = "AWS_SECRET_ACCESS_KEY" if key else "AWS_ACCESS_KEY_ID"
        raise UsageError(f"s3: one of the two credentials is set: expected {missing} too")
    home = home_of(environment)
    profile = environment.get("AWS_PROFILE") or None
    named = environment.get("AWS_SHARED_CREDENTIALS_FILE")
    file = named or f"{home}/.aws/credentials"
    provider = AWSConfigProvider(file, profile)
    try:
        provider.retrieve()
    except (ValueError, OSError, ConfigParserError) as error:
        may_ask = environment.get("AWS_EC2_METADATA_DISABLED", "").lower() != "true" or _has_role(environment)
        if profile or named or not may_ask:
            wanted = f"a profile {clean(profile or 'default')} in {clean(file)}"
            raise UsageError(f"s3: there are no credentials: {EXPECTED}, or {wanted}") from error
        return RoleProvider(environment, file)
    return provider


class RoleProvider(Provider):
    """The role of the container or instance. What it gives is asked for again before it expires."""

    def __init__(self, environment: Mapping[str, str], file: str) -> None:
        """`file` is where else credentials could have been."""
        # The library would ask this address for those of containers too.
        address = None if _has_role(environment) else environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or None
        self._inner = IamAwsProvider(
            custom_endpoint=address and address.rstrip("/"),
            http_client=PoolManager(
                timeout=Timeout(connect=_CONNECT, read=_READ), retries=Retry(1, status_forcelist=[500, 502, 503, 504])
            ),
            relative_uri=environment.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
            full_uri=environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
            token_file=environment.get("AWS_WEB_IDENTITY_TOKEN_FILE"),
            role_arn=environment.get("AWS_ROLE_ARN"),
            role_session_name=environment.get("AWS_ROLE_SESSION_NAME"),
            region=environment.get("AWS_REGION"),
        )
        self._file = file
        self._worked = False

    def retrieve(self) -> Credentials:
        """Raises PermanentStoreError where there never was a role, StoreError later on."""
        try:
            found = self._inner.retrieve()
        except (
            ValueError,
            LookupError,
            TypeError,
            AttributeError,
            OSError,
            HTTPError,
        ) as error:  # also answers that are none
            if self._worked:
                raise StoreError(f"s3: no new credentials can be had: {bounded(str(error), 200)}") from error
            raise PermanentStoreError(
                f"s3: there are no credentials: {EXPECTED}, or a profile in {clean(self._file)}, or a container or "
                f"instance with a role, but it gives none: {bounded(str(error), 200)}"
            ) from error
        self._worked = True
        return found


def _has_role(environment: Mapping[str, str]) -> bool:
    return any(environment.get(name) for name in _ROLES)
