"""What is secret, by its name: the one pattern, for settings, logs, reports and manifests."""

import re
from collections.abc import Mapping

HIDDEN = "***"
# Names of what gives access: passwords, tokens, keys of accounts and of encryption. A word must be whole, or the end of
# a name written in one piece (`ConnectionPwd`), so that `keypoints` and `--words` are not taken for secrets.
_SECRET = re.compile(
    r"secret|passw|token|credential|private[._-]?key|access[._-]?key|api[._-]?key|account[._-]?key|shared[._-]?key"
    r"|encryption[._-]?(?:context|key)|sas[._-]?(?:key|sig)|connection[._-]?string|\bpat\b|(?<=[._-])pat\b"
    r"|(?:^|[._-])pwd|pwd$|[a-z]Pwd\b|bearer|authorization"
    r"|fs\.azure\.account\.key|fs\.azure\.sas|server-side-encryption\.key|(?:^|[._-])encryption\.key",
    re.IGNORECASE,
)
_GITHUB_PAT = re.compile(r"(?:^|_)PAT$")
_URI_LOGIN = re.compile(r"(?<=://)[^/@\s]+@")


def is_secret(name: str) -> bool:
    """Whether the name of a setting, a variable or a Spark key says that its value is secret."""
    return bool(_SECRET.search(name) or _GITHUB_PAT.search(name))


def hide_secret(pair: str) -> str:
    """`KEY=VALUE` with the value hidden where the key, or something in the value, names a secret."""
    key, separator, _ = pair.partition("=")
    return f"{key}={HIDDEN}" if separator and (is_secret(key) or is_secret(pair)) else pair


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
        key, separator, _ = value.partition("=")
        if separator and is_secret(key):
            return f"{key}={HIDDEN}"
        return _URI_LOGIN.sub("", value)
    return value
