"""What is secret, by its name: the one pattern, for settings, logs, reports and manifests."""

import re
from collections.abc import Mapping

HIDDEN = "***"
# What gives access: passwords, tokens, keys of accounts and of encryption. A key counts only with a word before it that
# says whose it is, so that `keypoints` or `spark.sql.keyedX` are not taken for secrets.
_SECRET = re.compile(
    r"secret|passw|passphrase|token|credential|bearer|authorization|connection[._-]?string|access[._-]?signature"
    r"|(?:private|access|api|account|shared|client|customer|provided|signing|encryption|storage|sas|auth"
    r"|service|deploy|hmac|master|aes|rsa|kms|cse|sse[._-]?c|(?<![a-z])sa)[._-]?key"
    r"(?!provider|store|ed\b)"
    r"|[?&;]sig=|(?:amz|goog)[._-](?:signature|credential)"
    r"|google[._-]service[._-]account|encryption[._-]?(?:context|materials)|fs\.azure\.sas|sas[._-]?sig",
    re.IGNORECASE,
)
# Short words count only as whole ones: `DB_PWD`, `my.ConnectionPwd`, `GITHUB_PAT`, but neither `path` nor `pattern`.
_SHORT = re.compile(r"(?:^|[._-]|[a-z](?=P))(?:[Pp][Ww][Dd]|PWD|PAT|Pat|pat)(?=$|[._=-])")
# A login may have a slash in its secret key, as AWS's have; what stands behind a colon is then no port.
_URI_LOGIN = re.compile(r"(?<=://)(?:[^/\s'\"]+@|(?!arn:)[^/@\s:\[]+:(?!//|\d+(?:/|$))[^@\s'\"]*@)")
_S3 = re.compile(r"s3[an]?://", re.IGNORECASE)
NO_LOGIN = (
    "has a login in it, which would be seen in lists of processes and in logs: leave it out, and set AWS_ACCESS_KEY_ID "
    "and AWS_SECRET_ACCESS_KEY."
)


def is_secret(name: str) -> bool:
    """Whether the name of a setting, a variable or a Spark key says that its value is secret."""
    return bool(_SECRET.search(name) or _SHORT.search(name))


def holds_login(address: str) -> bool:
    """Whether an S3 address has a login before its bucket, such as `s3://key:secret@bucket/x`."""
    scheme = _S3.match(address)
    return bool(scheme and _URI_LOGIN.match(address, scheme.end()))


def without_logins(text: str) -> str:
    """A sentence, or anything else, whose addresses have no logins in them."""
    return _URI_LOGIN.sub("", text)


def hide_secret(pair: str) -> str:
    """`KEY=VALUE` with the value hidden where the key, or something in the value, names a secret; logins are left out
    of addresses in it."""
    key, separator, _ = pair.partition("=")
    return f"{key}={HIDDEN}" if separator and (is_secret(key) or is_secret(pair)) else without_logins(pair)


def redact(name: str, value: object) -> object:
    """`value` of the setting `name`, or `HIDDEN` where it is a secret.

    Looks into mappings, lists and `KEY=VALUE` texts, and leaves out a login inside a URI.
    """
    if isinstance(value, Mapping):
        return {key: redact(str(key), inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [redact(name, inner) for inner in value]
    if value is not None and is_secret(name):
        return HIDDEN
    if isinstance(value, str):
        key, separator, inner = value.partition("=")
        if separator and (is_secret(key) or ("=" in inner and is_secret(inner))):
            return f"{key}={HIDDEN}"
        return without_logins(value)
    return value
