"""Addresses: `s3://bucket/prefix`, or a path of this machine."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from job.errors import UsageError


def normalise(uri: str) -> str:
    """`uri` in the one form that the rest of the package knows.

    `s3a://b/p/` and `s3://b/p` become `s3://b/p`; `file:///p` and relative paths become absolute paths.
    Keys are taken literally: nothing in an S3 address is percent-decoded. `file://` addresses are, as RFC 8089 says.

    Raises UsageError for an empty address, another scheme or an S3 address without a bucket.
    """
    if not uri.strip():
        raise UsageError("An empty address was given: use a folder or s3://bucket/prefix.")
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return _absolute(uri)
    if scheme.lower() in {"s3", "s3a", "s3n"}:
        bucket, _, key = rest.partition("/")
        if not bucket:
            raise UsageError(f"The address '{uri}' names no bucket: write s3://bucket/prefix.")
        key = key.strip("/")
        return f"s3://{bucket}/{key}" if key else f"s3://{bucket}"
    if scheme.lower() == "file":
        parts = urlsplit(uri)
        if parts.netloc not in {"", "localhost"}:
            raise UsageError(f"The address '{uri}' names another machine: write file:///path or a plain path.")
        return _absolute(unquote(parts.path))
    raise UsageError(f"The address '{uri}' has an unknown scheme '{scheme}': use a folder or s3://bucket/prefix.")


def is_remote(uri: str) -> bool:
    """Whether `uri` lies in an object store."""
    return uri.lower().startswith(("s3://", "s3a://", "s3n://"))


def join(uri: str, *parts: str) -> str:
    """`uri` followed by `parts`, which use forward slashes; empty parts are left out."""
    tail = "/".join(part.strip("/") for part in parts if part.strip("/"))
    base = normalise(uri)
    if not tail:
        return base
    return f"{base}/{tail}" if is_remote(base) else str(Path(base, tail))


def split_s3(uri: str) -> tuple[str, str]:
    """(bucket, key) of an S3 address; the key has no slash at either end."""
    bucket, _, key = normalise(uri)[len("s3://") :].partition("/")
    return bucket, key


def _absolute(path: str) -> str:
    return os.path.normpath(Path(path).expanduser().absolute())
