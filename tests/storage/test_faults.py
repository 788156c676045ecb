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
