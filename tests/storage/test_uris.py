from pathlib import Path

import pytest

from job import storage
from job.errors import UsageError
from job.storage.uris import hadoop_uri


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
        ("file:/a%20b/c", "/a b/c"),
        ("FILE:/a", "/a"),
        ("FILE:///a#b?c", "/a#b?c"),
        ("/a:/b", "/a:/b"),
        ("/s3:/b", "/s3:/b"),
    ],
)
def test_addresses_have_one_form(given: str, meant: str):
    assert storage.normalise(given) == meant
    assert storage.normalise(meant) == meant


def test_relative_paths_are_those_of_the_working_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    assert storage.normalise("out/") == str(tmp_path / "out")
    assert storage.join("out", "", "/a/", "b c") == str(tmp_path / "out" / "a" / "b c")


@pytest.mark.parametrize("given", ["", " ", "s3://", "s3:///key", "hdfs://host/a", "file://host/a", "file:"])
def test_addresses_that_mean_nothing_here_are_usage_errors(given: str):
    with pytest.raises(UsageError) as caught:
        storage.normalise(given)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("given", ["hdfs://host/a", "hdfs:///a", "abfss://c@host/a", "gs://bucket/a", "dbfs:/x"])
def test_addresses_of_other_stores_are_refused_with_the_way_out(given: str):
    with pytest.raises(UsageError) as caught:
        storage.normalise(given)
    assert caught.value.message == (
        f"The address '{given}' has the scheme '{given.partition(':')[0]}', which can't be read or written here: use a "
        "folder or s3://bucket/prefix."
    )


def test_one_slash_is_no_bucket():
    with pytest.raises(UsageError, match=r"names no bucket: write s3://bucket/prefix"):
        storage.normalise("s3:/bucket/prefix")


def test_relative_paths_with_a_colon_are_paths(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    for given, meant in (("2026:11/a", "2026:11/a"), ("file:a b", "a b"), ("./data:/x", "data:/x"), ("c:/x", "c:/x")):
        assert storage.normalise(given) == str(tmp_path / meant)


def test_joining_keeps_the_scheme():
    assert storage.join("s3a://bucket/", "a", "b/c.csv") == "s3://bucket/a/b/c.csv"
    assert storage.join("s3://bucket") == "s3://bucket"
    assert storage.is_remote("s3a://bucket/x")
    assert not storage.is_remote("/s3/x")


@pytest.mark.parametrize(
    ("address", "meant"),
    [
        ("s3://bucket/a b/é 100%", "s3a://bucket/a b/é 100%"),
        ("s3a://bucket/a", "s3a://bucket/a"),
        ("/a b/é 100%41", "file:/a b/é 100%41"),
        ("file:///a", "file:///a"),
        ("hdfs://host/a b", "hdfs://host/a b"),
    ],
)
def test_addresses_are_written_as_hadoop_knows_them_without_escapes(address: str, meant: str):
    assert hadoop_uri(address) == meant


def test_a_home_that_is_not_known_is_told(monkeypatch: pytest.MonkeyPatch):
    """Case 14: `Could not determine home directory`."""
    with pytest.raises(UsageError, match="'~nobody-of-this-name/x' names a home folder that is not known"):
        storage.normalise("~nobody-of-this-name/x")


@pytest.mark.parametrize("given", ["s3://key:hush@bucket/x", "s3a://key:hu/sh@bucket/x", "s3://hush@bucket"])
def test_a_login_in_an_address_is_refused_and_not_told(given: str):
    with pytest.raises(UsageError) as caught:
        storage.normalise(given)
    assert "hush" not in caught.value.message
    assert "sh@" not in caught.value.message
    assert "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in caught.value.message
    assert storage.normalise("s3://bucket/a@b") == "s3://bucket/a@b"
