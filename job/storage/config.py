"""Where the object store is and who we are there: read in this one place, for obstore, s3fs and S3A alike."""

from __future__ import annotations

import configparser
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from urllib.parse import urlsplit

from job.errors import UsageError

# The region that S3-compatible servers expect when none was set, and the AWS SDKs' own fallback.
_DEFAULT_REGION = "us-east-1"


class Credentials(Enum):
    """Where the credentials come from, told from what is set; the value is how a message names it."""

    ENVIRONMENT = "AWS_ACCESS_KEY_ID"
    WEB_IDENTITY = "the service account's role (AWS_ROLE_ARN, AWS_WEB_IDENTITY_TOKEN_FILE)"
    PROFILE = "the AWS profile"
    CONTAINER = "the container's role (AWS_CONTAINER_CREDENTIALS_FULL_URI)"
    INSTANCE = "the machine's role"


@dataclass(frozen=True)
class S3Config:
    """Endpoint, region, addressing and credentials of the object store. `repr` shows no secret."""

    endpoint: str | None
    region: str
    credentials: Credentials
    profile: str | None = None
    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    role_arn: str | None = None
    web_identity_token_file: str | None = None
    container_uri: str | None = None
    container_token_file: str | None = None
    sts_endpoint: str | None = None
    ca_bundle: str | None = None

    @property
    def path_style(self) -> bool:
        """`endpoint/bucket/key` rather than `bucket.endpoint/key`: every server at an endpoint of its own knows it."""
        return self.endpoint is not None

    @property
    def plain_http(self) -> bool:
        """Whether requests go unencrypted, as to a server in the same cluster."""
        return self.endpoint is not None and self.endpoint.startswith("http://")

    @property
    def place(self) -> str:
        """How a message names the store."""
        return f"The store at {self.endpoint}" if self.endpoint else f"Amazon S3 in {self.region}"


def s3_config(environment: Mapping[str, str] | None = None) -> S3Config:
    """Reads the standard AWS variables (and the profile files that they point to).

    Credentials, the first that is there, in the order of the AWS SDKs: access keys; web identity (IRSA); a profile;
    container credentials (EKS Pod Identity, ECS); the machine's role.

    Raises UsageError when what is set can't be meant: half a key pair, a token file that is not there.
    """
    env = {key: value.strip() for key, value in (os.environ if environment is None else environment).items() if value}
    profile = _Profile(env)
    endpoint = env.get("AWS_ENDPOINT_URL_S3") or env.get("AWS_ENDPOINT_URL") or profile.get("endpoint_url")
    container = env.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    if not container and (relative := env.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")):
        container = f"http://169.254.170.2{relative}"
    return S3Config(
        endpoint=_checked_endpoint(endpoint),
        region=env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or profile.get("region") or _DEFAULT_REGION,
        credentials=_credentials(env, profile, container),
        profile=profile.name,
        access_key_id=env.get("AWS_ACCESS_KEY_ID"),
        secret_access_key=env.get("AWS_SECRET_ACCESS_KEY"),
        session_token=env.get("AWS_SESSION_TOKEN"),
        role_arn=env.get("AWS_ROLE_ARN"),
        web_identity_token_file=env.get("AWS_WEB_IDENTITY_TOKEN_FILE"),
        container_uri=container,
        container_token_file=env.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
        sts_endpoint=env.get("AWS_ENDPOINT_URL_STS") or env.get("AWS_ENDPOINT_URL"),
        ca_bundle=env.get("AWS_CA_BUNDLE"),
    )


class _Profile:
    """The chosen section of the AWS profile files: the `default` one where none is named."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.name = env.get("AWS_PROFILE") or env.get("AWS_DEFAULT_PROFILE")
        section = self.name or "default"
        config = _expanded(env.get("AWS_CONFIG_FILE") or "~/.aws/config")
        credentials = _expanded(env.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials")
        found = [
            _section(config, section if section == "default" else f"profile {section}"),
            _section(credentials, section),
        ]
        if self.name and found == [None, None]:
            raise UsageError(f"AWS_PROFILE names '{self.name}', which is neither in '{config}' nor in '{credentials}'.")
        self._values = {key: value for part in found if part for key, value in part.items()}

    def get(self, key: str) -> str | None:
        return self._values.get(key)

    @property
    def has_credentials(self) -> bool:
        """Whether it says how to get keys, and not only a region or an output format."""
        signs = ("aws_access_key_id", "role_arn", "credential_process", "sso_session", "sso_start_url", "login_session")
        return any(key in self._values for key in signs)


def _credentials(env: Mapping[str, str], profile: _Profile, container: str | None) -> Credentials:
    pair = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    present = [key for key in pair if env.get(key)]
    if len(present) == 1:
        missing = next(key for key in pair if key not in present)
        raise UsageError(f"{present[0]} is set but {missing} is not: set both, or neither.")
    if present:
        return Credentials.ENVIRONMENT
    token_file, role = env.get("AWS_WEB_IDENTITY_TOKEN_FILE"), env.get("AWS_ROLE_ARN")
    if token_file:
        if not role:
            raise UsageError("AWS_WEB_IDENTITY_TOKEN_FILE is set but AWS_ROLE_ARN is not: set both, or neither.")
        if not Path(token_file).is_file():
            raise UsageError(f"AWS_WEB_IDENTITY_TOKEN_FILE names '{token_file}', which is not there.")
        return Credentials.WEB_IDENTITY
    if profile.has_credentials:
        return Credentials.PROFILE
    return Credentials.CONTAINER if container else Credentials.INSTANCE


def _expanded(path: str) -> Path:
    """The path with `~` replaced; as it is for a user without a home, where there is no such file then."""
    return Path(os.path.expanduser(path))  # noqa: PTH111  (Path.expanduser raises for a user without a home)


def _section(file: Path, name: str) -> dict[str, str] | None:
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read(file, encoding="utf-8")
    except (configparser.Error, OSError, UnicodeDecodeError):
        # not chained: the cause quotes lines of the file, which may be secrets
        raise UsageError(f"The AWS profile file '{file}' can't be read: it is no INI file.") from None
    return dict(parser[name]) if name in parser else None


def _checked_endpoint(endpoint: str | None) -> str | None:
    if endpoint is None:
        return None
    if "@" in endpoint:  # not shown: it may be a password
        raise UsageError("AWS_ENDPOINT_URL holds a user name: use AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead.")
    try:
        parts = urlsplit(endpoint)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise UsageError(f"AWS_ENDPOINT_URL is '{endpoint}': write http://host:port or https://host.")
    return endpoint.rstrip("/")
