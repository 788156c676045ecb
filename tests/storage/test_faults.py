import re

import pytest

from job.storage import faults, s3_config
from job.storage.faults import again, explain


def test_a_name_that_no_bucket_can_have_is_named():
    config = s3_config({"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUt"})
    error = OSError("400 Bad Request: <Error><Code>InvalidBucketName</Code></Error>")
    assert "'x' can't be a bucket" in explain(error, "s3://x/data", config, "list").message


class Server:
    """Fails `times` times, each with the same error, and answers then."""

    def __init__(self, times: int, error: str) -> None:
        self.times = times
        self.error = error
        self.asked = 0

    def __call__(self) -> str:
        self.asked += 1
        if self.asked <= self.times:
            raise OSError(self.error)
        return "answer"


INTERRUPTED = "400 Bad Request: <Error><Code>IncompleteBody</Code></Error>"


def test_a_request_that_meets_a_leaving_server_many_times_is_repeated(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(faults, "_FIRST_PAUSE", 0.001)
    server = Server(9, INTERRUPTED)
    assert again(server) == "answer"
    assert server.asked == 10


def test_a_request_is_not_repeated_for_ever(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(faults, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(faults, "_PATIENCE", 0.0)
    server = Server(100, INTERRUPTED)
    with pytest.raises(OSError, match="IncompleteBody"):
        again(server)
    assert server.asked == 3


def test_an_error_that_is_final_is_not_repeated():
    server = Server(1, "403 Forbidden: <Error><Code>AccessDenied</Code></Error>")
    with pytest.raises(OSError, match="AccessDenied"):
        again(server)
    assert server.asked == 1


PROXY = "http://10.0.0.1:3128"


@pytest.mark.parametrize(
    ("variables", "part"),
    [
        (
            {"HTTP_PROXY": "http://10.0.0.1:3128"},
            "through the proxy that HTTP_PROXY names; .* put 'localhost' into NO_PROXY",
        ),
        ({"ALL_PROXY": PROXY}, "through the proxy that ALL_PROXY names"),
        (
            {"HTTP_PROXY": "http://10.0.0.1:3128", "NO_PROXY": "localhost"},
            "check AWS_ENDPOINT_URL and that it is running",
        ),
        ({"HTTPS_PROXY": PROXY}, "check AWS_ENDPOINT_URL and that it is running"),
        ({}, "check AWS_ENDPOINT_URL and that it is running"),
    ],
)
def test_a_store_that_is_asked_through_a_proxy_is_told_as_that(variables, part: str, monkeypatch: pytest.MonkeyPatch):
    """Doubtful: a proxy in the environment and MinIO on loopback gave `check AWS_ENDPOINT_URL`."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    config = s3_config({"AWS_ENDPOINT_URL": "http://localhost:9000"})
    error = ConnectionError("error sending request")
    assert re.search(part, explain(error, "s3://b/x", config, "list").message)
