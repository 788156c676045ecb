"""Addresses: `s3://bucket/prefix`, or a path of this machine."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote

from job.errors import UsageError
from job.secrets import NO_LOGIN, holds_login


def normalise(uri: str) -> str:
    """`uri` in the one form that the rest of the package knows.

    `s3a://b/p/` and `s3://b/p` become `s3://b/p`; `file:///p`, `file:/p` and relative paths become absolute paths.
    Keys are taken literally: nothing in an S3 address is percent-decoded. `file:` addresses are decoded, as RFC 8089
    says.

    Raises UsageError for an empty address, another scheme, and an S3 address without a bucket or with a login.
    """
    if not uri.strip():
        raise UsageError("An empty address was given: use a folder or s3://bucket/prefix.")
    scheme, separator, rest = uri.partition(":")
    if scheme.lower() == "file" and separator:
        return _absolute(_file_path(uri, rest))
    # `C:/x` has one letter; whoever has a folder called `data:` can write `./data:/x`
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]+", scheme) or not rest.startswith("/"):
        return _absolute(uri)
    if scheme.lower() not in {"s3", "s3a", "s3n"}:
        raise UsageError(
            f"The address '{uri}' has the scheme '{scheme}', which can't be read or written here: use a folder or "
            "s3://bucket/prefix."
        )
    if holds_login(uri):
        raise UsageError(f"The s3 address of '{uri.rpartition('@')[2]}' {NO_LOGIN}")
    bucket, _, key = rest.removeprefix("//").partition("/")
    if not bucket or not rest.startswith("//"):
        raise UsageError(f"The address '{uri}' names no bucket: write s3://bucket/prefix.")
    key = key.strip("/")
    return f"s3://{bucket}/{key}" if key else f"s3://{bucket}"


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


def _file_path(uri: str, rest: str) -> str:
    """The path in `file:` and `rest`, where a machine may be named between two slashes and a third."""
    if rest.startswith("//"):
        machine, slash, path = rest[2:].partition("/")
        if machine.lower() not in {"", "localhost"}:
            raise UsageError(f"The address '{uri}' names another machine: write file:///path or a plain path.")
        rest = slash + path
    if not rest:
        raise UsageError(f"The address '{uri}' names no path: write file:///path or a plain path.")
    return unquote(rest)


def _absolute(path: str) -> str:
    try:
        return os.path.normpath(Path(path).expanduser().absolute())
    except RuntimeError:
        raise UsageError(f"The address '{path}' names a home folder that is not known: write the whole path.") from None


def hadoop_uri(address: str) -> str:
    """An address as Hadoop's file systems know it: `s3://` by S3A, paths of this machine as `file:` whatever the
    cluster's default is.

    Hadoop takes what follows the scheme literally, so nothing is percent-encoded.
    """
    if address.startswith("s3://"):
        return "s3a://" + address[len("s3://") :]
    return address if "://" in address else f"file:{_absolute(address)}"
