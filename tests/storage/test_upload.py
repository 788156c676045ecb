import threading
import time
from pathlib import Path

import pytest

from job import storage
from job.errors import UserError
from job.storage.upload import wait_until_uploaded


def test_an_upload_that_is_whole_is_not_waited_for(tmp_path: Path):
    storage.write_bytes(f"{tmp_path}/_SUCCESS", b"")
    wait_until_uploaded(str(tmp_path), 0)


def test_an_upload_under_way_is_waited_for_until_its_last_object_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("job.storage.upload._PAUSE", 0.05)
    begun = time.monotonic()
    last = threading.Timer(0.5, (tmp_path / "_SUCCESS").touch)
    last.start()
    wait_until_uploaded(str(tmp_path), 30)
    last.join()
    assert 0.5 <= time.monotonic() - begun < 10


def test_an_upload_that_never_ends_is_an_error_that_says_for_how_long_it_was_waited(tmp_path: Path):
    begun = time.monotonic()
    with pytest.raises(UserError, match=r"was not whole after 0.3 s .*_SUCCESS.*: see whether `fruits upload`"):
        wait_until_uploaded(str(tmp_path), 0.3)
    assert time.monotonic() - begun < 2
