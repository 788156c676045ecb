import hashlib
import json
import shutil
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from job.errors import UsageError, UserError
from job.storage import RunFolder
from job.storage.runfolder import TakenError, stored_file


def test_an_output_that_cannot_be_written_is_named_and_nothing_is_left_behind(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/out/run' can't be written: Not a directory"):
        RunFolder(str(tmp_path / "file" / "out"), "run").check_writable()
    RunFolder(str(tmp_path / "new" / "out"), "run").check_writable()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "a\nb"])
def test_a_run_name_that_is_no_folder_name_is_a_usage_error(tmp_path: Path, name: str):
    with pytest.raises(UsageError):
        RunFolder(str(tmp_path), name)


def test_the_manifest_comes_last_and_lists_all_files_with_their_checksums(tmp_path: Path):
    run = RunFolder(str(tmp_path / "out"), "one")
    run.claim()
    run.write("tables/timings.csv", b"a,b\n")
    (tmp_path / "out" / "one" / "model").mkdir()
    (tmp_path / "out" / "one" / "model" / "part-0").write_bytes(b"spark")
    run.finish({"schema_version": 1})
    manifest = json.loads((tmp_path / "out" / "one" / "manifest.json").read_text())
    assert manifest == {
        "schema_version": 1,
        "files": [
            {"path": "model/part-0", "bytes": 5, "sha256": hashlib.sha256(b"spark").hexdigest()},
            {"path": "tables/timings.csv", "bytes": 4, "sha256": hashlib.sha256(b"a,b\n").hexdigest()},
        ],
    }
    assert sorted(path.name for path in (tmp_path / "out" / "one").iterdir()) == ["manifest.json", "model", "tables"]


def test_a_whole_run_is_never_written_over(tmp_path: Path):
    run = RunFolder(str(tmp_path), "one")
    run.claim()
    run.finish({})
    for action in (RunFolder.check_writable, RunFolder.claim):
        with pytest.raises(UserError, match="The run 'one' is already in") as caught:
            action(RunFolder(str(tmp_path), "one"))
        assert caught.value.exit_code == 2


def test_somebody_elses_folder_is_never_written_into(tmp_path: Path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.jpg").touch()
    with pytest.raises(UserError, match="is not empty and holds no run"):
        RunFolder(str(tmp_path), "photos").claim()
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["holiday.jpg"]


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_folder_that_another_thread_of_this_process_writes_into_is_refused_until_it_has_ended(
    tmp_path: Path, goes_on: bool
):
    for end in (RunFolder.release, RunFolder.discard, lambda run: run.finish({})):
        first, second = (RunFolder(str(tmp_path), "one", goes_on=goes_on) for _ in range(2))
        first.claim()
        first.write("half.csv", b"x")
        for action in (RunFolder.check_writable, RunFolder.claim):
            with pytest.raises(TakenError, match="Another run named 'one' is writing, or was killed"):
                action(second)
        second.discard()  # as a run does that could not begin
        assert (tmp_path / "one" / "half.csv").exists()
        end(first)
        shutil.rmtree(tmp_path / "one", ignore_errors=True)
        second.claim()
        second.discard()


def test_a_claim_that_this_process_could_not_take_back_is_a_dead_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object) -> None:
        raise UserError("The store does not answer.")

    for end in (RunFolder.release, RunFolder.discard):
        run = RunFolder(str(tmp_path), "one")
        run.claim()
        with monkeypatch.context() as patch:
            patch.setattr(run._store, "delete", fail)
            patch.setattr(run._store, "delete_folder", fail)
            with pytest.raises(UserError, match="does not answer"):
                end(run)
        RunFolder(str(tmp_path), "one").claim()  # which nobody holds, so that the next one may have it
    RunFolder(str(tmp_path), "one").claim()


def test_a_claim_that_another_thread_is_just_writing_is_no_dead_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first, second = (RunFolder(str(tmp_path), "one") for _ in range(2))
    create = first._store.create

    def and_then(uri: str, data: bytes) -> bool:
        made = create(uri, data)
        with pytest.raises(TakenError):
            second.check_writable()
        return made

    monkeypatch.setattr(first._store, "create", and_then)
    first.claim()
    first.finish({})


def test_of_many_threads_that_find_a_dead_claim_one_takes_the_folder_over(tmp_path: Path):
    claim_elsewhere(tmp_path, "raise SystemExit(1)").wait()
    runs = [RunFolder(str(tmp_path), "one") for _ in range(8)]
    together = threading.Barrier(len(runs))
    taken: list[RunFolder] = []

    def take(run: RunFolder) -> None:
        left = run._is_left

        def slowly(claim: bytes) -> bool:
            found = left(claim)
            together.wait()
            return found

        run._is_left = slowly
        with suppress(TakenError):
            run.claim()
            taken.append(run)

    threads = [threading.Thread(target=take, args=(run,)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = taken
    winner.finish({})


def claim_elsewhere(tmp_path: Path, then: str) -> "subprocess.Popen[str]":
    claim = f"RunFolder({str(tmp_path)!r}, 'one').claim()"
    program = f"from job.storage import RunFolder; {claim}; print('mine', flush=True); {then}"
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True, cwd=Path.cwd()
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "mine\n"
    return process


def test_a_folder_that_another_process_writes_into_is_refused(tmp_path: Path):
    other = claim_elsewhere(tmp_path, "input()")
    with pytest.raises(UserError, match="Another run named 'one' is writing, or was killed") as caught:
        RunFolder(str(tmp_path), "one").claim()
    assert caught.value.exit_code == 2
    other.communicate("\n")


def test_what_a_killed_process_left_is_removed(tmp_path: Path):
    claim_elsewhere(tmp_path, "raise SystemExit(1)").wait()
    (tmp_path / "one" / "half.csv").touch()
    run = RunFolder(str(tmp_path), "one")
    run.check_writable()
    run.claim()
    assert run.files() == []


def test_a_run_whose_folder_was_taken_over_is_not_made_whole(tmp_path: Path):
    first, second = RunFolder(str(tmp_path), "one"), RunFolder(str(tmp_path), "one")
    first.claim()
    (tmp_path / "one" / "_running.json").unlink()
    second.claim()
    with pytest.raises(UserError, match="Another run named 'one'"):
        first.finish({})
    first.discard()
    second.finish({})


def test_a_failed_run_leaves_nothing(tmp_path: Path):
    (tmp_path / "other").mkdir()
    run = RunFolder(str(tmp_path), "one")
    run.claim()
    run.write("a/b.csv", b"x")
    run.discard()
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_a_run_that_goes_on_finds_what_an_earlier_attempt_left(tmp_path: Path):
    run = RunFolder(str(tmp_path), "one", goes_on=True)
    run.claim()
    assert run.begun() is None
    run.begin({"work": 1})
    run.write("_parts/a", b"x")
    run.release()
    again = RunFolder(str(tmp_path), "one", goes_on=True)
    again.check_writable()
    again.claim()
    assert again.begun() == {"work": 1}
    assert again.parts("_parts") == ["a"]
    again.remove("_parts", ["a"])
    assert again.parts("_parts") == []
    again.finish({})
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["manifest.json"]
    with pytest.raises(UserError, match="The run 'one' is already in"):
        RunFolder(str(tmp_path), "one", goes_on=True).claim()


def test_a_run_that_goes_on_keeps_what_a_killed_process_began_and_removes_what_it_did_not_begin(tmp_path: Path):
    program = "r = RunFolder(sys.argv[1], 'one', goes_on=True); r.claim(); "
    for more, left in (("r.begin(1); ", ["_parts/a"]), ("", [])):
        code = f"import sys; from job.storage import RunFolder; {program}{more}r.write('_parts/a', b'x')"
        subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
        run = RunFolder(str(tmp_path), "one", goes_on=True)
        run.claim()
        assert [file.path for file in run.files()] == left
        run.discard()


@pytest.mark.parametrize("content", ['{"x":', "", "null", "\udcff"])
@pytest.mark.parametrize("claimed", [True, False])
def test_nothing_is_removed_where_it_can_not_be_read_what_was_begun(tmp_path: Path, content: str, claimed: bool):
    code = "import sys; from job.storage import RunFolder; RunFolder(sys.argv[1], 'one', goes_on=True).claim()"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    if not claimed:
        (tmp_path / "one" / "_running.json").unlink()
    (tmp_path / "one" / "batches").mkdir()
    (tmp_path / "one" / "batches" / "0001.parquet").write_bytes(b"hours of work")
    (tmp_path / "one" / "_progress.json").write_bytes(content.encode(errors="surrogateescape"))
    before = sorted(tmp_path.rglob("*"))
    for action in (RunFolder.check_writable, RunFolder.claim):
        with pytest.raises(UserError, match=r"one/_progress.json' is damaged, and nothing .*: put it back as it was, "):
            action(RunFolder(str(tmp_path), "one", goes_on=True))
        assert sorted(tmp_path.rglob("*")) == before


def test_only_a_run_that_goes_on_takes_up_unfinished_work(tmp_path: Path):
    run = RunFolder(str(tmp_path), "one", goes_on=True)
    run.claim()
    run.begin({})
    run.release()
    with pytest.raises(UserError, match="is not empty and holds no run"):
        RunFolder(str(tmp_path), "one").claim()


def in_container(tmp_path: Path, identity: str, then: str) -> "subprocess.Popen[str]":
    """Claims the run 'one' as process 1 of a container of its own, with this machine's host name, and does `then`."""
    (tmp_path / identity).touch()
    program = f"""
from job.errors import UserError
from job.storage import RunFolder
from job.storage.runfolder import TakenError
try:
    RunFolder({str(tmp_path / "out")!r}, 'one').claim()
    print('mine', flush=True)
except UserError as error:
    print(error.message, flush=True)
{then}
"""
    inside = f'mount --bind "{tmp_path / identity}" /etc/hosts && exec "$0" -c "$1"'
    command = ["unshare", "--pid", "--fork", "--mount", "--mount-proc", "--kill-child"]
    return subprocess.Popen(
        [*command, "sh", "-c", inside, sys.executable, program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path.cwd(),
    )


def said(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


containers = pytest.mark.skipif(
    not shutil.which("unshare")
    or subprocess.run(
        ["unshare", "--pid", "--fork", "--mount", "--mount-proc", "true"], capture_output=True, check=False
    ).returncode
    != 0,
    reason="this user may not make containers",
)


@containers
def test_a_live_run_in_another_container_of_the_same_host_name_and_process_number_keeps_its_folder(tmp_path: Path):
    with in_container(tmp_path, "first", "input()") as first:
        assert said(first) == "mine"
        (tmp_path / "out" / "one" / "half.csv").touch()
        with in_container(tmp_path, "second", "") as second:
            assert "Another run named 'one' is writing, or was killed" in said(second)
        assert (tmp_path / "out" / "one" / "half.csv").exists()
        first.communicate("\n")


@containers
def test_a_container_that_is_started_again_takes_its_folder_over(tmp_path: Path):
    with in_container(tmp_path, "first", "raise SystemExit(1)") as first:
        assert said(first) == "mine"
    (tmp_path / "out" / "one" / "half.csv").touch()
    with in_container(tmp_path, "first", "") as again:
        assert said(again) == "mine"
    assert not (tmp_path / "out" / "one" / "half.csv").exists()


def elsewhere(run: RunFolder) -> None:
    """Makes its claim one of another machine."""
    run._claim = json.dumps({**json.loads(run._claim), "host": "elsewhere"}).encode()
    run._store.write_bytes(run.uri("_running.json"), run._claim)


def watching(tmp_path: Path, silence: float = 0.2) -> RunFolder:
    return RunFolder(str(tmp_path), "one", goes_on=True, silence=silence)


def test_an_owner_elsewhere_that_has_fallen_silent_is_gone_on_for(tmp_path: Path):
    first, second = watching(tmp_path), watching(tmp_path)
    first.claim()
    first.begin({"work": 1})
    first.renew()
    elsewhere(first)
    second.claim()
    assert second.begun() == {"work": 1}
    with pytest.raises(
        TakenError, match=r"Another process is at work in .*/one': end it, or choose another --run-name"
    ):
        first.renew()
    first.release()
    second.renew()


def test_an_owner_elsewhere_that_renews_its_claim_is_left_alone(tmp_path: Path):
    first = watching(tmp_path)
    first.claim()
    elsewhere(first)
    stopped = threading.Event()

    def live() -> None:
        while not stopped.wait(0.02):
            first.renew()

    alive = threading.Thread(target=live)
    alive.start()
    with pytest.raises(TakenError) as caught:
        watching(tmp_path, silence=20).claim()  # ends with the first sign of life
    assert caught.value.exit_code == 2
    stopped.set()
    alive.join()


def test_an_owner_elsewhere_that_never_renews_its_claim_is_not_waited_for(tmp_path: Path):
    first = RunFolder(str(tmp_path), "one", goes_on=True)
    first.claim()
    elsewhere(first)
    with pytest.raises(TakenError):
        watching(tmp_path, silence=3600).claim()


def test_files_that_others_wrote_are_known_by_what_they_say(tmp_path: Path):
    run = RunFolder(str(tmp_path), "one")
    run.claim()
    (tmp_path / "one" / "table").mkdir()
    (tmp_path / "one" / "table" / "part-00000.parquet").write_bytes(b"told")
    (tmp_path / "one" / "table" / "part-00001.parquet").write_bytes(b"not told")
    run.know([stored_file("table/part-00000.parquet", b"told")])
    run.finish({})
    files = json.loads((tmp_path / "one" / "manifest.json").read_text())["files"]
    assert [file["path"] for file in files] == ["table/part-00000.parquet", "table/part-00001.parquet"]
    assert [file["sha256"] for file in files] == [hashlib.sha256(text).hexdigest() for text in (b"told", b"not told")]
