import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from job import storage
from job.errors import UsageError, UserError
from job.storage import Credentials, Fault, RunFolder, s3_config
from job.storage.faults import explain
from job.storage.s3_read import _Budget

NAMES = ["Training/Apple Braeburn/0, 1.jpg", "Training/Poire é/a%20b+c.JPEG", "Training/🍎/x.png", "Test/Lemon/1.jpg"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in [*NAMES, "Training/readme.txt", "manifest.json"]:
        file = tmp_path / "data" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(name.encode())
    return tmp_path / "data"


def read(folder: Path, names: list[str]) -> list[bytes | Fault]:
    return list(storage.read_many(str(folder), names, max_bytes=100))


# ---- addresses


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("s3://bucket/a/b", "s3://bucket/a/b"),
        ("s3a://bucket/a/b/", "s3://bucket/a/b"),
        ("S3://bucket", "s3://bucket"),
        ("s3://bucket/a b/100%25/é+🍎", "s3://bucket/a b/100%25/é+🍎"),
        ("/a/../b/", "/b"),
        ("file:///a%20b/c", "/a b/c"),
        ("file://localhost/a", "/a"),
    ],
)
def test_addresses_have_one_form(given: str, meant: str):
    assert storage.normalise(given) == meant
    assert storage.normalise(meant) == meant


def test_relative_paths_are_those_of_the_working_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    assert storage.normalise("out/") == str(tmp_path / "out")
    assert storage.join("out", "", "/a/", "b c") == str(tmp_path / "out" / "a" / "b c")


@pytest.mark.parametrize("given", ["", " ", "s3://", "s3:///key", "hdfs://host/a", "file://host/a", "gs://bucket/a"])
def test_addresses_that_mean_nothing_here_are_usage_errors(given: str):
    with pytest.raises(UsageError) as caught:
        storage.normalise(given)
    assert caught.value.exit_code == 2


def test_joining_keeps_the_scheme():
    assert storage.join("s3a://bucket/", "a", "b/c.csv") == "s3://bucket/a/b/c.csv"
    assert storage.join("s3://bucket") == "s3://bucket"
    assert storage.is_remote("s3a://bucket/x")
    assert not storage.is_remote("/s3/x")


# ---- listing and reading


def test_pictures_are_listed_at_any_depth_sorted_with_their_sizes(folder: Path):
    listed = storage.list_images(str(folder))
    assert listed.schema.equals(storage.LISTING)
    assert listed["name"].to_pylist() == sorted(NAMES)
    assert listed["size"].to_pylist() == [len(name.encode()) for name in sorted(NAMES)]


def test_a_prefix_is_a_folder_and_stays_in_the_names(folder: Path):
    assert storage.list_images(str(folder), "Test")["name"].to_pylist() == ["Test/Lemon/1.jpg"]
    assert storage.list_images(str(folder), "Tes").num_rows == 0
    assert storage.list_folders(str(folder)) == ["Test", "Training"]
    assert storage.list_folders(str(folder), "Nothing") == []


def test_links_are_followed_and_a_cycle_of_them_is_not(folder: Path, tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "far.jpg").write_bytes(b"far")
    (folder / "Test" / "Linked").symlink_to(tmp_path / "elsewhere")
    (folder / "Test" / "Up").symlink_to(folder)
    (folder / "Test" / "Lemon" / "gone.jpg").symlink_to(folder / "nothing")
    names = storage.list_images(str(folder), "Test")["name"].to_pylist()
    assert names == ["Test/Lemon/1.jpg", "Test/Lemon/gone.jpg", "Test/Linked/far.jpg"]
    assert read(folder, names)[1:] == [Fault("unreadable"), b"far"]


def test_contents_come_in_the_order_of_the_names(folder: Path):
    names = [NAMES[2], NAMES[0], NAMES[2], NAMES[3]]
    assert read(folder, names) == [name.encode() for name in names]


def test_what_cannot_be_read_is_a_fault_in_its_place(folder: Path):
    (folder / "empty.jpg").touch()
    (folder / "large.jpg").write_bytes(b"x" * 101)
    (folder / "just.jpg").write_bytes(b"x" * 100)
    (folder / "folder.jpg").mkdir()
    os.mkfifo(folder / "pipe.jpg")
    names = ["empty.jpg", "large.jpg", "just.jpg", "folder.jpg", "pipe.jpg", "vanished.jpg", "a" * 300 + ".jpg"]
    reasons = [found.reason if isinstance(found, Fault) else len(found) for found in read(folder, names)]
    assert reasons == ["empty", "too_large", 100, "unreadable", "unreadable", "unreadable", "unreadable"]


def test_a_name_that_is_no_utf8_is_named(folder: Path):
    Path(os.fsdecode(os.fsencode(folder) + b"/Test/\xff.jpg")).touch()
    with pytest.raises(UserError, match=r"The file name '.*udcff.jpg' is no valid UTF-8: rename the file"):
        storage.list_images(str(folder))


def test_a_missing_folder_is_empty_to_list_and_an_error_to_check(tmp_path: Path):
    assert storage.list_images(str(tmp_path / "none")).num_rows == 0
    assert not storage.exists(str(tmp_path / "none"))
    storage.check(str(tmp_path))
    with pytest.raises(UserError, match=r"none' is not there: check the address"):
        storage.check(str(tmp_path / "none"))


# ---- writing


def test_a_file_is_written_as_a_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "new" / "table.csv"
    storage.write_bytes(str(file), b"first")
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(UserError, match=r"table.csv' can't be written: No space left on device"):
        storage.write_bytes(str(file), b"second")
    assert file.read_bytes() == b"first"
    assert os.listdir(file.parent) == ["table.csv"]  # noqa: PTH208


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
    second.claim()  # same process: takes the first for dead
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


# ---- the object store's configuration

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


def test_a_name_that_no_bucket_can_have_is_named(home: dict[str, str]):
    error = OSError("400 Bad Request: <Error><Code>InvalidBucketName</Code></Error>")
    assert "'x' can't be a bucket" in explain(error, "s3://x/data", s3_config({**home, **KEYS}), "list").message


# ---- memory while reading


def test_the_object_that_is_waited_for_gets_through_a_full_budget():
    budget = _Budget(10)
    budget.take(0, 10)
    budget.wait_for(1)
    budget.take(1, 10)  # would wait for ever
    budget.give_back(20)
    budget.take(5, 10)
