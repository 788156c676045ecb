"""The store against real servers: list, read many, write whole, and what goes wrong."""

import contextlib
import itertools
import json
import threading
import time
import tracemalloc
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import obstore
import pyarrow as pa
import pytest
from running import free_port
from s3_proxy import FirstTime, Proxy, every
from s3_servers import Server, on_one

from job import storage
from job.errors import UserError
from job.storage import Fault, RunFolder, clients, s3

NAMES = [
    "Training/Apple Braeburn/0 100.jpg",
    "Training/Apple+Pear/a+b.jpg",
    "Training/100%/50%25.jpg",
    "Training/Kumquat é/e\u0301té.JPG",
    "Training/🍎/🍐.png",
    "Test/a#b?c=d&e/f'g\"h.jpeg",
    "Test/[x]*{y}~!$(z),;=@/^`|<>.jpg",
]


def put_many(bucket: str, names: list[str], content: Callable[[str], bytes] = str.encode) -> None:
    store = clients.object_store(bucket)
    for name in names:
        obstore.put(store, name, content(name))


def numbered(count: int) -> list[str]:
    return [f"Training/Lemon/{number:05d}.jpg" for number in range(count)]


def read(bucket: str, names: list[str], **more: int) -> list[bytes | Fault]:
    return list(storage.read_many(f"s3://{bucket}", names, max_bytes=more.pop("max_bytes", 10_000), **more))


# ---- listing


def test_keys_with_spaces_plus_percent_accents_and_emoji_are_listed_and_read(bucket: str):
    put_many(bucket, NAMES)
    listed = storage.list_images(f"s3://{bucket}")
    assert listed["name"].to_pylist() == sorted(NAMES, key=str.encode)
    assert listed["size"].to_pylist() == [len(name.encode()) for name in sorted(NAMES, key=str.encode)]
    assert read(bucket, NAMES) == [name.encode() for name in NAMES]


def test_a_listing_has_pictures_at_any_depth_and_nothing_else(bucket: str):
    names = ["top.jpg", "a/b/c/d/e.PNG", "a/x.jpeg", "a/b/y.jpg"]
    put_many(bucket, [*names, "a/readme.txt", "a/jpg", "a/b/manifest.json"])
    others = storage.PassedOver()
    listed = storage.list_images(f"s3a://{bucket}/", passed_over=others)
    assert listed.schema.equals(storage.LISTING)
    assert listed["name"].to_pylist() == sorted(names)
    assert others.counts() == {".json": 1, ".txt": 1, "no suffix": 1}


def test_a_listing_tells_that_an_object_was_replaced_by_one_of_its_size(bucket: str):
    put_many(bucket, ["A/1.jpg", "A/2.jpg"])
    before, again = (storage.list_images(f"s3://{bucket}") for _ in range(2))
    time.sleep(1.1)  # times are told in seconds by some stores
    put_many(bucket, ["A/2.jpg"], lambda name: name.encode()[::-1])
    after = storage.list_images(f"s3://{bucket}")
    assert before.equals(again)
    assert before.select(["name", "size"]).equals(after.select(["name", "size"]))
    kept, replaced = (before["changed"][row] == after["changed"][row] for row in (0, 1))
    assert (kept, replaced) == (True, False)


@pytest.mark.parametrize("odd", [[], ["A/tab\t.jpg"]])
def test_versions_tell_objects_that_were_replaced_within_a_second(server: Server, bucket: str, odd: list[str]):
    """Times are told in seconds by some stores, and the ETag is another all the same. Odd keys are listed another
    way."""
    put_many(bucket, ["A/1.jpg", "A/2.jpg"])
    for name in odd:
        server.client().put_object(Bucket=bucket, Key=name, Body=b"xyz")
    before, again = (storage.list_images(f"s3://{bucket}") for _ in range(2))
    put_many(bucket, ["A/2.jpg"], lambda name: name.encode()[::-1])
    after = storage.list_images(f"s3://{bucket}")
    assert before["version"].equals(again["version"])
    differs = [old != new for old, new in zip(before["version"], after["version"], strict=True)]
    assert differs == [name == "A/2.jpg" for name in before["name"].to_pylist()]


@pytest.mark.parametrize(
    "tags", [['"d41d8cd98f00b204e9800998ecf8427e"', "d41d8cd98f00b204e9800998ecf8427e-2"], ["x", None]]
)
def test_every_kind_of_etag_has_a_number(tags):
    first, second = s3._numbers(pa.chunked_array([pa.array(tags, pa.string())]))
    assert (first == second) == (tags[0] != "x")
    assert s3._numbers(pa.chunked_array([pa.array(["e" * 32, "f" * 32])])).tolist() == [
        int.from_bytes(bytes.fromhex(digit * 16), signed=True) for digit in "ef"
    ]


@pytest.mark.parametrize("most_prefixes", [4_000, 1])
def test_hidden_objects_and_folders_are_not_listed(bucket: str, monkeypatch: pytest.MonkeyPatch, most_prefixes: int):
    monkeypatch.setattr(s3, "_MOST_PREFIXES", most_prefixes)
    names = ["data/Training/A/1.jpg", "data/Training/A/b/2.jpg", "data/Training/B.c/3.jpg"]
    others = storage.PassedOver()
    hidden = ["data/Training/A/._1.jpg", "data/Training/A/.ipynb_checkpoints/1.jpg", "data/Training/.x/A/1.jpg"]
    put_many(bucket, [*names, *hidden, "data/.cache/A/1.jpg", ".top/a.jpg"])
    listed = storage.list_images(f"s3://{bucket}/data", "Training", passed_over=others)["name"].to_pylist()
    assert [f"data/{name}" for name in listed] == names
    assert others.counts() == {"hidden": 3}
    assert storage.list_images(f"s3://{bucket}")["name"].to_pylist() == names
    assert storage.list_folders(f"s3://{bucket}/data") == ["Training"]
    assert storage.list_folders(f"s3://{bucket}/data", "Training") == ["A", "B.c"]
    # what is asked for may be hidden itself
    assert storage.list_images(f"s3://{bucket}/data/.cache")["name"].to_pylist() == ["A/1.jpg"]
    assert storage.list_images(f"s3://{bucket}/data", ".cache")["name"].to_pylist() == [".cache/A/1.jpg"]


def test_names_are_relative_to_the_address_and_the_prefix_is_a_folder(bucket: str):
    put_many(bucket, ["data/Test/Lemon/1.jpg", "data/Test/Lemon Meyer/2.jpg", "data2/Test/Lemon/3.jpg"])
    listed = storage.list_images(f"s3://{bucket}/data", "Test/Lemon")
    assert listed["name"].to_pylist() == ["Test/Lemon/1.jpg"]
    assert storage.list_folders(f"s3://{bucket}/data", "Test") == ["Lemon", "Lemon Meyer"]
    assert storage.list_folders(f"s3://{bucket}") == ["data", "data2"]
    assert storage.list_images(f"s3://{bucket}/nothing").num_rows == 0


def test_more_keys_than_fit_one_answer_are_all_listed_once(bucket: str, monkeypatch: pytest.MonkeyPatch):
    names = [f"Training/{number % 3}/{number:05d}.jpg" for number in range(2_300)]
    put_many(bucket, names, lambda _name: b"x")
    assert storage.list_images(f"s3://{bucket}")["name"].to_pylist() == sorted(names)
    tracemalloc.start()
    storage.list_images(f"s3://{bucket}")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 80 * len(names)  # in Arrow: a list of names takes 80 bytes each at the least
    monkeypatch.setattr(s3, "_MOST_PREFIXES", 2)  # as if there were too many folders to open each
    assert storage.list_images(f"s3://{bucket}")["name"].to_pylist() == sorted(names)


# ---- reading


def test_empty_too_large_and_vanished_objects_are_faults_in_their_places(bucket: str, server: Server):
    names = numbered(40)
    put_many(bucket, names)
    store = clients.object_store(bucket)
    obstore.put(store, names[3], b"")
    obstore.put(store, names[5], b"x" * 20_000)
    server.client().delete_object(Bucket=bucket, Key=names[7])
    found = read(bucket, names)
    assert [found[3], found[5], found[7]] == [Fault("empty"), Fault("too_large"), Fault("unreadable")]
    others = [number for number in range(40) if number not in {3, 5, 7}]
    assert [found[number] for number in others] == [names[number].encode() for number in others]


@on_one
def test_reading_hides_the_latency_of_the_store(bucket: str, behind_proxy: Callable[..., Proxy]):
    names = numbered(320)
    put_many(bucket, names)
    behind_proxy(latency=0.1)
    start = time.monotonic()
    assert read(bucket, names, in_flight=64) == [name.encode() for name in names]
    assert time.monotonic() - start < 5  # one at a time: 32 s


@on_one
def test_reading_stops_when_nobody_takes_more(bucket: str, behind_proxy: Callable[..., Proxy]):
    names = numbered(300)
    put_many(bucket, names)
    proxy = behind_proxy()
    contents = storage.read_many(f"s3://{bucket}", names, max_bytes=10_000, in_flight=8)
    assert next(contents) == names[0].encode()
    contents.close()
    time.sleep(0.2)
    assert proxy.seen["requests"] <= 20


@on_one
@pytest.mark.parametrize("kind", ["503", "reset", "cut"])
def test_passing_faults_are_repeated_and_the_result_is_the_same(
    bucket: str, behind_proxy: Callable[..., Proxy], kind: str
):
    names = numbered(200)
    content = {name: name.encode() * 50 for name in names}
    put_many(bucket, names, content.__getitem__)
    proxy = behind_proxy(every(5, kind))
    assert storage.list_images(f"s3://{bucket}")["name"].to_pylist() == names
    assert read(bucket, names) == [content[name] for name in names]
    assert proxy.seen[kind] > 20


@on_one
@pytest.mark.parametrize("kind", ["503", "400", "reset"])
def test_results_are_written_through_passing_faults(bucket: str, behind_proxy: Callable[..., Proxy], kind: str):
    proxy = behind_proxy(every(2, kind, "PUT"))
    run = RunFolder(f"s3://{bucket}/out", "one")
    run.claim()
    for number in range(5):
        run.write(f"{number}.csv", b"x" * number)
    run.finish({})
    assert proxy.seen[kind] > 1
    assert [file.bytes for file in run.files()] == [0, 1, 2, 3, 4]


def test_what_was_done_and_not_answered_is_done_once(bucket: str, behind_proxy: Callable[..., Proxy], tmp_path: Path):
    proxy = behind_proxy(FirstTime("lost"))
    place = f"s3://{bucket}/out"
    assert storage.create(f"{place}/claim", b"mine")
    assert not storage.create(f"{place}/claim", b"another's")
    storage.write_bytes(f"{place}/small.csv", b"small")
    (tmp_path / "large").write_bytes(b"large" * (5 << 20))  # in parts
    storage.put_file(f"{place}/large.bin", tmp_path / "large")
    assert storage.read_bytes(f"{place}/small.csv") == b"small"
    assert storage.read_bytes(f"{place}/large.bin") == b"large" * (5 << 20)
    s3.delete(f"{place}/small.csv")
    assert sorted(s3.walk(place)) == ["claim", "large.bin"]
    s3.delete_folder(place)
    assert not list(s3.walk(place))
    assert proxy.seen["lost"] >= 6


@on_one
def test_a_run_that_can_not_be_removed_looks_no_longer_whole(bucket: str, behind_proxy: Callable[..., Proxy]):
    run = RunFolder(f"s3://{bucket}/out", "one")
    run.claim()
    run.write("table.csv", b"x")
    run.write("manifest.json", b"{}")  # as `finish` does last, and is interrupted
    asked = itertools.count()  # a deletion is a POST: the second and all after it are refused
    behind_proxy(lambda _number, method, _path: "403" if method == "POST" and next(asked) else None)
    with pytest.raises(UserError, match="deleted"):
        run.discard()
    assert sorted(s3.walk(run.root)) == ["_running.json", "table.csv"]


def test_a_server_that_restarts_while_pictures_are_read_changes_nothing(bucket: str, server: Server):
    names = numbered(300)
    put_many(bucket, names)
    contents = storage.read_many(f"s3://{bucket}", names, max_bytes=10_000, in_flight=16)
    found = [next(contents) for _ in range(50)]
    server.stop()
    restart = threading.Timer(2, server.start)
    restart.start()
    found += contents
    restart.join()
    assert found == [name.encode() for name in names]


@on_one
def test_a_server_that_stays_away_is_an_error_and_not_thousands_of_faults(
    bucket: str, behind_proxy: Callable[..., Proxy], monkeypatch: pytest.MonkeyPatch
):
    names = numbered(300)
    put_many(bucket, names)
    proxy = behind_proxy()
    monkeypatch.setattr(clients, "_PATIENT", clients._HASTY)
    contents = storage.read_many(f"s3://{bucket}", names, max_bytes=10_000, in_flight=8)
    assert next(contents) == names[0].encode()
    proxy.fault = lambda _number, _method, _path: "reset"
    with pytest.raises(UserError, match=f"The store at {proxy.endpoint} does not answer"):
        list(contents)


def test_objects_that_may_not_be_read_are_faults_each(
    bucket: str, server: Server, use: Callable[[dict[str, str]], None]
):
    put_many(bucket, ["a.jpg"])
    other = server.bucket()
    use(server.reader(bucket))
    assert read(bucket, ["a.jpg"]) == [b"a.jpg"]
    use(server.environment())
    put_many(other, ["b.jpg"])
    use(server.reader(bucket))
    assert read(other, ["b.jpg"]) == [Fault("unreadable")]


# ---- faults of the configuration: one sentence within 15 s


@pytest.fixture
def wrong(server: Server, bucket: str, use: Callable[[dict[str, str]], None]) -> Callable[..., str]:
    """Checks an address of the bucket with some variables changed; gives the sentence."""

    def check(address: str = f"s3://{bucket}/data", **changed: str) -> str:
        use({**server.environment(), **changed})
        sentences = []
        for action in (storage.check, lambda uri: RunFolder(uri, "run").check_writable()):
            start = time.monotonic()
            with pytest.raises(UserError) as caught:
                action(address)
            assert time.monotonic() - start < 15
            sentences.append(caught.value.message)
            assert server.secret_key not in caught.value.message
            assert "\n" not in caught.value.message
        assert sentences[0] == sentences[1]
        return sentences[0]

    return check


def test_a_wrong_access_key_is_named(wrong: Callable[..., str]):
    assert "does not know the access key: check AWS_ACCESS_KEY_ID" in wrong(AWS_ACCESS_KEY_ID="nobody")


def test_a_wrong_secret_key_is_named(wrong: Callable[..., str]):
    assert "does not accept the secret key: check AWS_ACCESS_KEY_ID" in wrong(AWS_SECRET_ACCESS_KEY="x" * 20)


def test_a_missing_bucket_is_named(wrong: Callable[..., str]):
    assert "There is no bucket 'no-such-bucket-here' at http" in wrong("s3://no-such-bucket-here/data")


@on_one
def test_a_server_that_is_down_is_named(wrong: Callable[..., str]):
    endpoint = f"http://127.0.0.1:{free_port()}"
    assert f"The store at {endpoint} does not answer: check AWS_ENDPOINT_URL" in wrong(AWS_ENDPOINT_URL=endpoint)


@on_one
def test_a_host_that_is_not_there_is_named(wrong: Callable[..., str]):
    endpoint = "http://no-such-host.invalid:9000"
    assert f"The store at {endpoint} does not answer" in wrong(AWS_ENDPOINT_URL=endpoint)


@on_one
def test_a_server_that_only_says_503_is_named(wrong: Callable[..., str], server: Server):
    with Proxy(server.port, fault=lambda _number, _method, _path: "503") as proxy:
        assert "is overloaded or not ready (SlowDown): try again later" in wrong(AWS_ENDPOINT_URL=proxy.endpoint)


def test_https_to_a_server_without_it_is_named(wrong: Callable[..., str], server: Server):
    endpoint = server.endpoint.replace("http", "https")
    assert f"The store at {endpoint} does not answer" in wrong(AWS_ENDPOINT_URL=endpoint)


@on_one
@pytest.mark.parametrize("status", [200, 404])
def test_an_endpoint_that_is_no_s3_store_is_named(wrong: Callable[..., str], status: int):
    class Website(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"<!DOCTYPE html><html><body>A web console</body></html>")

        do_GET = do_PUT = do_HEAD = do_DELETE = answer

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Website) as website:
        threading.Thread(target=website.serve_forever, daemon=True).start()
        endpoint = f"http://127.0.0.1:{website.server_port}"
        assert wrong(AWS_ENDPOINT_URL=endpoint) == f"What answers at {endpoint} is no S3 store: check AWS_ENDPOINT_URL."
        website.shutdown()


@on_one
def test_the_first_question_to_a_store_that_is_down_is_answered_soon(
    server: Server, use: Callable[[dict[str, str]], None]
):
    for action in (storage.exists, storage.list_images, storage.list_folders, storage.read_bytes):
        use(server.environment(f"http://127.0.0.1:{free_port()}"))
        start = time.monotonic()
        with pytest.raises(UserError, match="does not answer"):
            action("s3://some-bucket/data")
        assert time.monotonic() - start < 15


def test_a_key_that_cannot_be_named_is_a_picture_that_can_not_be_read(bucket: str, server: Server):
    odd = "data/Training/A/tab\t.jpg"
    names = [*NAMES, *(f"Training/B/{number:04d}.jpg" for number in range(1_200))]  # more than one answer
    put_many(bucket, [f"data/{name}" for name in names], lambda _name: b"x")
    server.client().put_object(Bucket=bucket, Key=odd, Body=b"xyz")
    server.client().put_object(Bucket=bucket, Key="data/.hidden/tab\t.jpg", Body=b"x")
    listed = storage.list_images(f"s3://{bucket}/data")
    expected = sorted([*names, odd.removeprefix("data/")], key=str.encode)
    assert listed["name"].to_pylist() == expected
    assert sum(listed["size"].to_pylist()) == len(names) + 3
    assert storage.list_images(f"s3://{bucket}/data", "Training/A")["name"].to_pylist() == ["Training/A/tab\t.jpg"]
    found = list(storage.read_many(f"s3://{bucket}/data", expected, max_bytes=10))
    assert [name for name, content in zip(expected, found, strict=True) if isinstance(content, Fault)] == [
        "Training/A/tab\t.jpg"
    ]


def test_folders_are_not_listed_below_a_key_that_cannot_be_named(bucket: str, server: Server):
    server.client().put_object(Bucket=bucket, Key="data/tab\t.jpg", Body=b"x")
    with pytest.raises(UserError, match="a key that can't be used, with a control character or an empty folder name"):
        storage.list_folders(f"s3://{bucket}/data")


def test_a_bucket_that_may_not_be_written_is_named_before_any_work(
    bucket: str, server: Server, use: Callable[[dict[str, str]], None]
):
    use(server.reader(bucket))
    storage.check(f"s3://{bucket}/out")
    with pytest.raises(UserError, match=f"'s3://{bucket}/out/run' can't be written: the credentials .* have no right"):
        RunFolder(f"s3://{bucket}/out", "run").check_writable()


# ---- results


def test_a_run_is_whole_once_its_manifest_is_there_and_lists_what_others_wrote(bucket: str, server: Server):
    run = RunFolder(f"s3://{bucket}/out", "one")
    run.check_writable()
    assert "Contents" not in server.client().list_objects_v2(Bucket=bucket)
    run.claim()
    run.write("timings.csv", b"operation,seconds\n")
    server.client().put_object(Bucket=bucket, Key="out/one/model/metadata/part-00000", Body=b"{}")
    assert not storage.exists(run.uri("manifest.json"))
    run.finish({"schema_version": 1})
    keys = [entry["Key"] for entry in server.client().list_objects_v2(Bucket=bucket)["Contents"]]
    assert keys == ["out/one/manifest.json", "out/one/model/metadata/part-00000", "out/one/timings.csv"]
    manifest = json.loads(storage.read_bytes(run.uri("manifest.json")))
    assert manifest["schema_version"] == 1
    assert [(file["path"], file["bytes"]) for file in manifest["files"]] == [
        ("model/metadata/part-00000", 2),
        ("timings.csv", 18),
    ]
    assert manifest["files"][0]["sha256"] == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


def test_a_whole_run_of_the_same_name_is_refused(bucket: str):
    run = RunFolder(f"s3://{bucket}/out", "one")
    run.claim()
    run.finish({})
    with pytest.raises(UserError, match=r"already in 's3://.*/out': choose another --run-name") as caught:
        RunFolder(f"s3://{bucket}/out", "one").check_writable()
    assert caught.value.exit_code == 2


def test_of_two_runs_of_one_name_at_the_same_time_one_gets_the_folder(bucket: str):
    outcomes: list[str] = []
    together = threading.Barrier(6)
    folders = [RunFolder(f"s3://{bucket}/out", "one") for _ in range(6)]

    def run(folder: RunFolder) -> None:
        together.wait()
        try:
            folder.claim()
        except UserError as error:
            outcomes.append(error.message)
        else:
            outcomes.append("mine")

    threads = [threading.Thread(target=run, args=(folder,)) for folder in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("mine") == 1, outcomes
    assert sum("Another run named 'one'" in outcome for outcome in outcomes) == 5, outcomes


def test_what_a_killed_attempt_left_is_removed_by_the_next_one_of_the_same_name(bucket: str):
    first = RunFolder(f"s3://{bucket}/out", "one")
    first.claim()
    first.write("old.csv", b"x")
    del first  # nobody works in the folder any more
    second = RunFolder(f"s3://{bucket}/out", "one")
    second.check_writable()
    second.claim()
    second.write("new.csv", b"y")
    second.finish({})
    assert [file.path for file in second.files()] == ["new.csv"]


def test_nothing_is_public_unless_asked(bucket: str, behind_proxy: Callable[..., Proxy]):
    proxy = behind_proxy()
    storage.write_bytes(f"s3://{bucket}/private.csv", b"x")
    RunFolder(f"s3://{bucket}/out", "private").claim()
    assert not [head for head in proxy.heads if b"x-amz-acl" in head.lower()]
    with contextlib.suppress(UserError):  # a server may refuse ACLs altogether
        storage.write_bytes(f"s3://{bucket}/public.csv", b"x", public_read=True)
    assert [head.split()[:2] for head in proxy.heads if b"x-amz-acl: public-read" in head.lower()] == [
        [b"PUT", f"/{bucket}/public.csv".encode()]
    ]


@on_one
def test_the_configuration_shows_no_secret(server: Server, bucket: str):
    shown = repr(storage.s3_config())
    assert server.endpoint in shown
    assert server.access_key not in shown
    assert server.secret_key not in shown


@pytest.mark.parametrize("size", [0, 1, 6_000_000])
def test_objects_of_any_size_come_back_as_written(bucket: str, size: int):
    data = bytes(range(251)) * (size // 251) + b"x" * (size % 251)
    storage.write_bytes(f"s3://{bucket}/a/b c.bin", data)
    assert storage.read_bytes(f"s3://{bucket}/a/b c.bin") == data
    assert storage.exists(f"s3://{bucket}/a")
    assert not storage.exists(f"s3://{bucket}/b")
