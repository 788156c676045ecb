"""The two clients of an object store, both made from one `S3Config`: obstore and s3fs."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from obstore.store import S3Store

from job.errors import UsageError, UserError
from job.storage.config import Credentials, S3Config, s3_config


class _Patience(NamedTuple):
    """How long a request is tried: pauses double from 0.1 s, with jitter."""

    retries: int
    total: timedelta
    longest_pause: timedelta
    connect: str
    request: str


# A server that restarts, or asks to slow down, is waited for until the total time is over. The number of tries is no
# limit, because pauses are drawn at random and many of them may be short.
_PATIENT = _Patience(10_000, timedelta(seconds=90), timedelta(seconds=10), "5s", "30s")
# Wrong settings have to be reported within seconds, before the work starts.
_HASTY = _Patience(3, timedelta(seconds=5), timedelta(seconds=1), "3s", "4s")

_process: int | None = None


def object_store(bucket: str, *, hasty: bool = False) -> S3Store:
    """An obstore client for one bucket, kept for the life of the process."""
    global _process  # noqa: PLW0603
    if _process not in {None, os.getpid()}:
        # Its Rust threads did not survive the fork: a request would wait for ever.
        raise RuntimeError("The object store was used before this process was forked; it can be used only after.")
    _process = os.getpid()
    return _object_store(s3_config(), bucket, _HASTY if hasty else _PATIENT)


def file_system() -> Any:
    """An `s3fs.S3FileSystem` that remembers no listing: others write to the store at the same time."""
    return _file_system(s3_config(), os.getpid())


@lru_cache(maxsize=64)
def _object_store(config: S3Config, bucket: str, patience: _Patience) -> S3Store:
    settings: dict[str, Any] = {"region": config.region, "virtual_hosted_style_request": not config.path_style}
    if config.endpoint:
        settings["endpoint"] = config.endpoint
    provider = None
    match config.credentials:
        case Credentials.ENVIRONMENT:
            settings["access_key_id"] = config.access_key_id
            settings["secret_access_key"] = config.secret_access_key
            if config.session_token:
                settings["session_token"] = config.session_token
        # obstore asks for the keys of a role by https only; botocore does the rest
        case Credentials.WEB_IDENTITY if not (config.sts_endpoint or "").startswith("http://"):
            settings["web_identity_token_file"] = config.web_identity_token_file
            settings["role_arn"] = config.role_arn
            if config.sts_endpoint:
                settings["aws_endpoint_url_sts"] = config.sts_endpoint
        case Credentials.CONTAINER if config.container_token_file:
            settings["container_credentials_full_uri"] = config.container_uri
            settings["container_authorization_token_file"] = config.container_token_file
        case _:
            provider = _from_botocore(config)
    client: dict[str, Any] = {
        "allow_http": config.plain_http,
        "connect_timeout": patience.connect,
        "timeout": patience.request,
    }
    if config.ca_bundle:
        client["root_certificate"] = _certificates(config.ca_bundle)
    return S3Store(
        bucket,
        config=settings,  # type: ignore[arg-type]
        client_options=client,  # type: ignore[arg-type]
        retry_config={
            "max_retries": patience.retries,
            "retry_timeout": patience.total,
            "backoff": {
                "init_backoff": timedelta(milliseconds=100),
                "max_backoff": patience.longest_pause,
                "base": 2,
            },
        },
        credential_provider=provider,
    )


@lru_cache(maxsize=8)
def _file_system(config: S3Config, _process: int) -> Any:
    import s3fs

    return s3fs.S3FileSystem(
        key=config.access_key_id if config.credentials is Credentials.ENVIRONMENT else None,
        secret=config.secret_access_key if config.credentials is Credentials.ENVIRONMENT else None,
        token=config.session_token if config.credentials is Credentials.ENVIRONMENT else None,
        profile=config.profile if config.credentials is Credentials.PROFILE else None,
        endpoint_url=config.endpoint,
        client_kwargs={"region_name": config.region},
        config_kwargs={
            "s3": {"addressing_style": "path" if config.path_style else "virtual"},
            "connect_timeout": 5,
            "read_timeout": 30,
            # pauses double up to 20 s: about a minute in all
            "retries": {"mode": "standard", "max_attempts": 8},
        },
        use_listings_cache=False,
        skip_instance_cache=True,
    )


def _from_botocore(config: S3Config) -> Callable[[], Any]:
    """Credentials of a profile or of the machine's role, by the library that knows every form of them."""
    import botocore.session  # type: ignore[import-untyped]

    session = botocore.session.Session(profile=config.profile)

    def credentials() -> dict[str, Any]:
        found = session.get_credentials()
        if found is None:
            raise UserError("NoCredentialsError")
        frozen = found.get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            # botocore renews what expires; it only has to be asked again
            "expires_at": datetime.now(UTC) + timedelta(minutes=5),
        }

    return credentials


def _certificates(bundle: str) -> bytes:
    try:
        return Path(bundle).read_bytes()
    except OSError as error:
        raise UsageError(f"AWS_CA_BUNDLE names '{bundle}', which can't be read: {error.strerror or error}.") from error
