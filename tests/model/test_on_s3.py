"""A model, and pictures, in an object store; `tests/s3` has the servers."""

import os
import secrets
import time
from collections.abc import Callable, Iterator

import pytest
import stored as kept
from absent import absent
from s3.s3_servers import PROGRAMS, Server, program

from job import load_model, storage
from job.errors import UserError
from job.model import addresses


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = {kind: binary for kind in sorted(PROGRAMS) if (binary := program(kind))}
    if not found:
        absent(f"no S3 server on this machine: name one in {' or '.join(PROGRAMS.values())}")
    kind, binary = next(iter(found.items()))
    running = Server(kind, binary, tmp_path_factory.mktemp(kind) / secrets.token_hex(3))
    running.start()
    yield running
    running.stop()


@pytest.fixture
def bucket(server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    return f"s3://{server.bucket()}"


@pytest.fixture
def put(bucket: str) -> Callable[..., str]:
    """Puts the stored model, but for some of its files, into a run's folder, and pictures beside it."""

    def work(*left_out: str) -> str:
        for path, data in kept.files().items():
            if path not in left_out:
                storage.write_bytes(f"{bucket}/out/first/model/{path}", data)
        for number in range(3):
            storage.write_bytes(f"{bucket}/pictures/{number}.jpg", (kept.V1 / f"{number}.jpg").read_bytes())
        return f"{bucket}/out/first"

    return work


def test_a_model_and_pictures_in_a_bucket_answer_as_those_of_a_folder(put: Callable[..., str], bucket: str):
    run = put()
    here = load_model(kept.V1)
    pictures = [f"{bucket}/pictures/{number}.jpg" for number in range(3)]
    expected = here.predict([kept.V1 / f"{number}.jpg" for number in range(3)])
    for address in (run, f"{run}/model", f"{run}/model/model.json", run.replace("s3:", "s3a:")):
        model = load_model(address)
        assert model.uri == f"{run}/model"
        assert model.predict(pictures) == expected
    assert model.predict(f"{bucket}/pictures/nowhere.jpg").status == "unreadable"


def test_a_model_in_a_bucket_that_is_half_there_or_damaged_or_missing_is_refused(put: Callable[..., str], bucket: str):
    run = put("model.json")
    with pytest.raises(UserError, match="is only half there"):
        load_model(run)
    put()
    path = kept.arrays_path(kept.SCALER)
    storage.write_bytes(f"{run}/model/{path}", b"short")
    with pytest.raises(UserError, match=f"'{path}' has not its"):
        load_model(run)
    with pytest.raises(UserError, match=f"There is no model at '{bucket}/nowhere'"):
        load_model(f"{bucket}/nowhere")
    with pytest.raises(UserError, match="holds no model"):
        load_model(f"{bucket}/pictures")
    with pytest.raises(UserError, match="bucket"):
        load_model("s3://there-is-no-such-bucket-here/model")


def test_the_newest_run_and_pictures_in_a_bucket_are_found(put: Callable[..., str], bucket: str):
    run = put()
    storage.write_bytes(f"{run}/manifest.json", b"{}")
    storage.write_bytes(f"{bucket}/out/later/manifest.json", b"{}")
    assert addresses.newest(f"{bucket}/out") == f"{run}/model"
    with pytest.raises(UserError, match=f"There is no whole run with a model in '{bucket}/pictures'"):
        addresses.newest(f"{bucket}/pictures")
    storage.write_bytes(f"{bucket}/apple", b"a picture without a suffix")
    given = [f"{bucket}/pictures", f"{bucket}/pictures/1.jpg", f"{bucket}/apple", f"{bucket}/nowhere"]
    found = dict(addresses.contents(addresses.pictures(given), 1 << 20))
    assert list(found) == [*(f"{bucket}/pictures/{number}.jpg" for number in range(3)), *given[2:]]
    assert found[f"{bucket}/pictures/1.jpg"] == (kept.V1 / "1.jpg").read_bytes()
    assert found[f"{bucket}/apple"] == b"a picture without a suffix"
    assert found[f"{bucket}/nowhere"] == storage.Fault("unreadable")


def test_the_time_of_an_object_is_told_and_that_of_none_is_not(bucket: str):
    begun = time.time()
    storage.write_bytes(f"{bucket}/a.txt", b"1")
    assert storage.modified(f"{bucket}/a.txt") == pytest.approx(begun, abs=120)
    assert storage.modified(f"{bucket}/b.txt") is None
