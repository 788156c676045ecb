import json
import time
from pathlib import Path

import pytest

from job.errors import UserError
from job.storage.attempt import Attempt


def left_by_another(target: Path, hours: float, host: str = "another machine") -> set[str]:
    """An attempt of another machine that wrote for the last time `hours` ago: its files."""
    target.mkdir(exist_ok=True)
    with Attempt(str(target)) as attempt:
        (target / attempt.file(0)).touch()
        claim = target / f"_packing-{attempt.file(0).split('-')[1]}.json"
        content = {**json.loads(claim.read_text()), "host": host, "at": time.time() - hours * 3600}
        names = {claim.name, attempt.file(0)}
    claim.write_text(json.dumps(content))
    return names


def test_the_files_of_another_machine_are_left_alone_for_a_day(tmp_path: Path):
    fresh, old = left_by_another(tmp_path, 23), left_by_another(tmp_path, 25)
    with Attempt(str(tmp_path)) as attempt:
        found = {path.name for path in tmp_path.iterdir()}
        assert found >= fresh
        assert not found & old
        (tmp_path / attempt.file(0)).touch()
    assert {path.name for path in tmp_path.iterdir()} == {*fresh, attempt.file(0)}


def test_nothing_is_removed_once_an_index_is_there(tmp_path: Path):
    old = left_by_another(tmp_path, 25)
    (tmp_path / "_pack.json").touch()
    with Attempt(str(tmp_path)):
        assert {path.name for path in tmp_path.iterdir()} >= old


def test_two_attempts_of_one_process_leave_each_other_alone(tmp_path: Path):
    with Attempt(str(tmp_path)) as first:
        (tmp_path / first.file(0)).touch()
        with Attempt(str(tmp_path)) as second:
            (tmp_path / second.file(0)).touch()
        first.renew()
    assert {path.name for path in tmp_path.iterdir()} == {first.file(0), second.file(0)}


def test_an_attempt_that_another_has_taken_for_dead_stops(tmp_path: Path):
    attempt = Attempt(str(tmp_path))
    with attempt:
        (claim,) = tmp_path.iterdir()
        there = claim.rename(tmp_path / "aside")
        with pytest.raises(UserError, match="Another `fruits pack` has removed"):
            attempt.renew()
        there.rename(claim)


def test_what_is_no_claim_is_left_alone(tmp_path: Path):
    (tmp_path / "_packing-0123.json").write_bytes(b"{}")
    (tmp_path / "part-0123-00000.parquet").touch()
    with Attempt(str(tmp_path)):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"_packing-0123.json", "part-0123-00000.parquet"}
