from pathlib import Path

import pytest

from job.errors import UsageError
from job.storage import Credentials, s3_config

KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUt"}


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    return {"AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials")}


def test_an_endpoint_means_path_style_and_http_is_allowed(home: dict[str, str]):
    found = s3_config({**home, **KEYS, "AWS_ENDPOINT_URL": "http://minio:9000/"})
    assert (found.endpoint, found.path_style, found.plain_http) == ("http://minio:9000", True, True)
    own = s3_config({**home, **KEYS, "AWS_REGION": "eu-west-3"})
    assert (own.endpoint, own.path_style, own.plain_http, own.region) == (None, False, False, "eu-west-3")


def test_the_endpoint_of_s3_alone_beats_the_general_one(home: dict[str, str]):
    both = {"AWS_ENDPOINT_URL": "http://a:1", "AWS_ENDPOINT_URL_S3": "http://b:2"}
    assert s3_config({**home, **both}).endpoint == "http://b:2"


def test_the_region_is_found_in_all_its_places(home: dict[str, str]):
    Path(home["AWS_CONFIG_FILE"]).write_text("[default]\nregion = eu-north-1\n")
    assert s3_config(home).region == "eu-north-1"
    assert s3_config({**home, "AWS_DEFAULT_REGION": "eu-west-1"}).region == "eu-west-1"
    assert s3_config({**home, "AWS_DEFAULT_REGION": "eu-west-1", "AWS_REGION": "eu-west-2"}).region == "eu-west-2"


def test_the_source_of_the_credentials_is_told_from_what_is_set(home: dict[str, str], tmp_path: Path):
    token = tmp_path / "token"
    token.touch()
    container = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials"}
    web = {"AWS_WEB_IDENTITY_TOKEN_FILE": str(token), "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/fruits"}
    assert s3_config(home).credentials is Credentials.INSTANCE
    assert s3_config({**home, **container}).credentials is Credentials.CONTAINER
    Path(home["AWS_SHARED_CREDENTIALS_FILE"]).write_text("[default]\naws_access_key_id = a\n[work]\nregion = x\n")
    assert s3_config({**home, **container}).credentials is Credentials.PROFILE
    assert s3_config({**home, **container, "AWS_PROFILE": "work"}).credentials is Credentials.CONTAINER
    assert s3_config({**home, **container, **web}).credentials is Credentials.WEB_IDENTITY
    assert s3_config({**home, **container, **web, **KEYS}).credentials is Credentials.ENVIRONMENT


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"AWS_ACCESS_KEY_ID": "a"}, "AWS_ACCESS_KEY_ID is set but AWS_SECRET_ACCESS_KEY is not"),
        ({"AWS_SECRET_ACCESS_KEY": "a"}, "AWS_SECRET_ACCESS_KEY is set but AWS_ACCESS_KEY_ID is not"),
        ({"AWS_ENDPOINT_URL": "minio:9000"}, "AWS_ENDPOINT_URL is 'minio:9000': write http://host:port"),
        ({"AWS_ENDPOINT_URL": "http://h:99999"}, "AWS_ENDPOINT_URL is 'http://h:99999'"),
        ({"AWS_ENDPOINT_URL": "http://user:pass@h"}, "AWS_ENDPOINT_URL holds a user name"),
        ({"AWS_WEB_IDENTITY_TOKEN_FILE": "/no", "AWS_ROLE_ARN": "x"}, "names '/no', which is not there"),
        ({"AWS_WEB_IDENTITY_TOKEN_FILE": "/no"}, "but AWS_ROLE_ARN is not"),
        ({"AWS_PROFILE": "work"}, "AWS_PROFILE names 'work', which is neither in"),
    ],
)
def test_a_configuration_that_cannot_be_meant_is_a_usage_error(
    home: dict[str, str], environment: dict[str, str], sentence: str
):
    with pytest.raises(UsageError) as caught:
        s3_config({**home, **environment})
    assert sentence in caught.value.message
    assert "pass@" not in caught.value.message


def test_a_configuration_shows_no_secret(home: dict[str, str]):
    shown = repr(s3_config({**home, **KEYS, "AWS_SESSION_TOKEN": "FwoGZXIv"}))
    assert not any(secret in shown for secret in (*KEYS.values(), "FwoGZXIv"))
