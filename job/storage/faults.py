"""What a store's error means: whether to ask again, and one sentence for the user with the way out."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import time
from collections.abc import Callable, Iterator
from typing import TypeVar
from urllib.parse import urlsplit

from obstore.exceptions import BaseError, InvalidPathError

from job.errors import UserError
from job.storage.config import Credentials, S3Config, s3_config
from job.storage.uris import split_s3

T = TypeVar("T")

# Seconds for which `again` repeats a call, and the shortest and the longest pause between two calls.
_PATIENCE = 30.0
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 3.0
_LEAST_ATTEMPTS = 3

_CODE = re.compile(r"<Code>\s*(\w+)\s*</Code>")
_RETRIED = re.compile(r"after [1-9]\d* retries")
_STATUS = re.compile(r"status code: (\d{3})")

# Codes of errors that concern the credentials as a whole, and not one object.
_WRONG_CREDENTIALS = {
    "InvalidAccessKeyId": "does not know the access key",
    "SignatureDoesNotMatch": "does not accept the secret key",
    "AuthorizationHeaderMalformed": "does not accept the signature (a wrong region in AWS_REGION?)",
    "ExpiredToken": "says that the credentials have expired",
    "ExpiredTokenException": "says that the credentials have expired",
    "TokenRefreshRequired": "says that the credentials have expired",
    "InvalidToken": "does not accept the session token",
    "InvalidIdentityToken": "does not accept the web identity token",
    "InvalidClientTokenId": "does not accept the session token",
    "RequestTimeTooSkewed": "says that this machine's clock is wrong",
    "AccountProblem": "says that there is a problem with the account",
    "InvalidSecurity": "does not accept the credentials",
}


_OVERLOADED = {"SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "XMinioServerNotInitialized"}


def s3_code(error: BaseException) -> str:
    """The S3 error code (`NoSuchKey`, `AccessDenied`, ...) in an error of obstore or s3fs, else the status, or ''."""
    for cause in _chain(error):
        response = getattr(cause, "response", None)
        if isinstance(response, dict) and (code := response.get("Error", {}).get("Code")):
            return str(code)
        text = str(cause)
        if match := _CODE.search(text) or _STATUS.search(text):
            return str(match.group(1))
    return ""


def is_one_object(error: BaseException) -> bool:
    """Whether an error of a read is a property of that object: it has vanished, or may not be read."""
    code = s3_code(error)
    if isinstance(error, FileNotFoundError):
        return code in {"NoSuchKey", "NoSuchVersion", "404"} or not code
    return code in {"AccessDenied", "InvalidObjectState", "403", "KeyTooLongError", "KeyTooLong"}


# Codes that a server answers with when it goes down in the middle of a request, or has waited too long for its body.
# The clients take them for final, because their status is in the 400s. So is that of an upload in parts which the
# server has completed, and whose answer got lost: the client asks again, and it is over.
_LEAVING = {"ClientDisconnected", "499", "IncompleteBody", "RequestTimeout", "NoSuchUpload"}


def is_interrupted(error: BaseException) -> bool:
    """Whether the connection broke and the client has not tried again by itself: no status, no S3 code, or the code of
    a server that is going down."""
    if s3_code(error) in _LEAVING:
        return True
    tried = _RETRIED.search(str(error)) is not None
    one_file = isinstance(error, FileNotFoundError | PermissionError)
    return not tried and not one_file and not s3_code(error) and _is_connection(error)


def again(call: Callable[[], T], patience: float | None = None) -> T:
    """`call()`, once more after a growing pause when the connection broke inside an answer.

    It is called at least three times, and as often as fits into `patience`, half a minute unless given: of many
    requests at once, some meet a server that is going down several times in a row. obstore itself repeats what fails
    before the answer has begun, and most of what fails within one.
    """
    limit = time.monotonic() + (_PATIENCE if patience is None else patience)
    pause, attempt = _FIRST_PAUSE, 1
    while True:
        try:
            return call()
        except (BaseError, OSError) as error:
            if not is_interrupted(error) or (attempt >= _LEAST_ATTEMPTS and time.monotonic() + pause > limit):
                raise
        time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - so that many do not come back at the same time
        pause, attempt = min(2 * pause, _LONGEST_PAUSE), attempt + 1


@contextlib.contextmanager
def explained(uri: str, verb: str) -> Iterator[None]:
    """Raises what a client raises as a UserError about `uri`."""
    try:
        yield
    except InvalidPathError as error:
        raise UserError(
            f"Below '{uri}' is a key that can't be used, with a control character or an empty folder name: rename it "
            f"({str(error).partition(chr(10) * 2)[0]!r})."
        ) from error
    except (UserError, RuntimeError):
        raise
    except Exception as error:
        if isinstance(error, BaseError | OSError | asyncio.TimeoutError) or "botocore" in type(error).__module__:
            raise explain(error, uri, s3_config(), verb) from error
        raise


def explain(error: BaseException, uri: str, config: S3Config, verb: str) -> UserError:
    """The error of `verb` (read, write, list, delete) at `uri` as a sentence for the user. Shows no credentials."""
    code = s3_code(error)
    sentence = (
        _of_the_account(code, uri, config, verb)
        or _of_the_store(error, code, uri, config, verb)
        or (_of_the_connection(error, uri, config) if not code or _credentials_missing(error) else None)
        or f"'{uri}' can't be {_done(verb)}: {config.place.lower()} says {code or _first_line(error)}."
    )
    return UserError(sentence)


def _of_the_account(code: str, uri: str, config: S3Config, verb: str) -> str | None:
    """The sentence of a code that is about credentials, rights or the bucket."""
    bucket, _ = split_s3(uri)
    if code in _WRONG_CREDENTIALS:
        return f"{config.place} {_WRONG_CREDENTIALS[code]}: check {_source(config)}."
    if code == "InvalidBucketName":
        return f"'{bucket}' can't be a bucket: its name has 3 to 63 lower-case letters, digits, '.' and '-'."
    if code == "NoSuchBucket":
        return f"There is no bucket '{bucket}' at {_where(config)}: create it, or correct the address."
    if code in {"PermanentRedirect", "TemporaryRedirect", "301", "307", "IllegalLocationConstraintException"}:
        return f"The bucket '{bucket}' is not in region '{config.region}': set AWS_REGION to the bucket's."
    if code in {"AccessDenied", "AllAccessDisabled", "403", "401", "AccessDeniedException"}:
        return f"'{uri}' can't be {_done(verb)}: the credentials ({_source(config)}) have no right to."
    return None


def _of_the_store(error: BaseException, code: str, uri: str, config: S3Config, verb: str) -> str | None:
    """The sentence of an answer that is about the object, or about the server as a whole."""
    if verb == "read" and isinstance(error, FileNotFoundError) and code in {"NoSuchKey", "404", ""}:
        return f"'{uri}' is not there: check the address."
    if code in {"404", "405", "400", "501", "NotImplemented"} or "invalid list response" in str(error):
        return f"What answers at {_where(config)} is no S3 store: check AWS_ENDPOINT_URL."
    if code in _OVERLOADED or (code.startswith("5") and len(code) == 3):
        return f"{config.place} is overloaded or not ready ({code}): try again later."
    return None


def _of_the_connection(error: BaseException, uri: str, config: S3Config) -> str | None:
    """The sentence of an error before there was any answer."""
    if _credentials_missing(error):
        return f"No credentials for '{uri}': set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the pod a role."
    if "certificate" in str(error):
        return f"{config.place} has a certificate that is not trusted here: name its authority's file in AWS_CA_BUNDLE."
    if _is_connection(error):
        hint = _proxy_hint(config) or (
            "check AWS_ENDPOINT_URL and that it is running" if config.endpoint else "check the network"
        )
        return f"{config.place} does not answer: {hint}."
    return None


def _proxy_hint(config: S3Config) -> str | None:
    """What to check where the store is asked through a proxy, which may not reach it: one on this machine, say."""
    if not config.endpoint:
        return None
    from urllib.request import getproxies_environment, proxy_bypass

    parts = urlsplit(config.endpoint)
    proxies = getproxies_environment()
    if not (proxies.get(parts.scheme) or proxies.get("all")) or proxy_bypass(parts.netloc):
        return None
    name = f"{parts.scheme.upper()}_PROXY" if proxies.get(parts.scheme) else "ALL_PROXY"
    return (
        f"it is asked through the proxy that {name} names; where that can't reach it, put '{parts.hostname}' into "
        "NO_PROXY"
    )


def _source(config: S3Config) -> str:
    if config.credentials is Credentials.ENVIRONMENT:
        return "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY"
    if config.credentials is Credentials.PROFILE:
        return f"the AWS profile '{config.profile or 'default'}'"
    return str(config.credentials.value)


def _where(config: S3Config) -> str:
    return config.endpoint or f"Amazon S3 in {config.region}"


def _done(verb: str) -> str:
    return {"read": "read", "write": "written", "list": "listed", "delete": "deleted"}[verb]


def _credentials_missing(error: BaseException) -> bool:
    texts = " ".join(f"{type(cause).__name__} {cause}" for cause in _chain(error))
    return any(sign in texts for sign in ("NoCredentialsError", "latest/api/token", "latest/meta-data"))


def _is_connection(error: BaseException) -> bool:
    texts = " ".join(f"{type(cause).__name__} {cause}" for cause in _chain(error))
    signs = ("error sending request", "Connect", "connect", "Timeout", "timed out", "error decoding response body")
    return any(sign in texts for sign in signs)


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0][:200] or type(error).__name__


def _chain(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in found:
        found.append(current)
        current = current.__cause__ or current.__context__
    return found
