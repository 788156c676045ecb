"""Upload and pack against real servers, and credentials of every source."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import botocore.session
import pytest
from running import clean_environment
from s3_proxy import Proxy, every
from s3_servers import Server, on_one

from job import storage
from job.commands import main as cli
from job.errors import UsageError, UserError
from job.storage import Credentials
from job.storage.pack import pack
from job.storage.upload import Progress, upload, wait_until_uploaded

NAMES = [
    "Training/Apple+Pear é/0 100%.jpg",
    "Training/🍎/x.png",
    "Test/Lemon/a#b?.jpg",
    "Test/Lemon/empty.jpg",
    "LICENSE",
]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in NAMES:
        file = tmp_path / "tree" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"" if "empty" in name else name.encode() * 100)
    return tmp_path / "tree"


# ---- upload


def test_a_folder_is_uploaded_once(tree: Path, bucket: str, server: Server):
    first = upload(str(tree), f"s3://{bucket}/data")
    assert (first.files, first.uploaded, first.skipped) == (5, 5, 0)
    assert first.bytes == sum(file.stat().st_size for file in tree.rglob("*") if file.is_file())
    for name in NAMES:
        assert (
            server.client().get_object(Bucket=bucket, Key=f"data/{name}")["Body"].read() == (tree / name).read_bytes()
        )
    assert server.client().head_object(Bucket=bucket, Key="data/Training/🍎/x.png")["ContentType"] == "image/png"
    again = upload(str(tree), f"s3://{bucket}/data")
    assert (again.uploaded, again.skipped, again.bytes) == (0, 5, 0)


def test_the_last_object_of_an_upload_says_that_it_is_whole(tree: Path, bucket: str, server: Server):
    (tree / "_SUCCESS").write_bytes(b"of something else")
    done: list[bool] = []

    def progress(_counts: Progress) -> None:
        found = server.client().list_objects_v2(Bucket=bucket, Prefix="data/_SUCCESS")
        done.append("Contents" in found)

    assert upload(str(tree), f"s3://{bucket}/data", progress=progress).files == len(NAMES)
    assert not any(done)
    assert server.client().get_object(Bucket=bucket, Key="data/_SUCCESS")["Body"].read() == b""
    wait_until_uploaded(f"s3://{bucket}/data", 0)


@on_one
def test_an_upload_is_waited_for_also_while_its_store_does_not_answer(
    tree: Path, bucket: str, behind_proxy: Callable[..., Proxy], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("job.storage.upload._PAUSE", 0.1)
    upload(str(tree), f"s3://{bucket}/data")
    with pytest.raises(UserError, match=f"'s3://{bucket}/other' was not whole after 0 s .'_SUCCESS' is not there"):
        wait_until_uploaded(f"s3://{bucket}/other", 0)
    proxy = behind_proxy(lambda _number, _method, _path: "reset")
    with pytest.raises(UserError, match=r"was not whole after 1 s .The store at .* does not answer"):
        wait_until_uploaded(f"s3://{bucket}/data", 1)
    again = threading.Timer(1, lambda: setattr(proxy, "fault", lambda _number, _method, _path: None))
    again.start()
    wait_until_uploaded(f"s3://{bucket}/data", 60)


def test_what_changed_or_is_missing_is_uploaded_again(tree: Path, bucket: str, server: Server):
    upload(str(tree), f"s3://{bucket}")
    (tree / "LICENSE").write_bytes(b"X" * (tree / "LICENSE").stat().st_size)  # same size, other content
    server.client().delete_object(Bucket=bucket, Key="Training/🍎/x.png")
    told = []
    done = upload(str(tree), f"s3://{bucket}", progress=told.append)
    assert (done.uploaded, done.skipped) == (2, 3)
    assert told[-1] == done
    assert [step.uploaded + step.skipped for step in told] == [0, 1, 2, 3, 4, 5]
    assert server.client().get_object(Bucket=bucket, Key="LICENSE")["Body"].read() == (tree / "LICENSE").read_bytes()


@on_one
def test_a_file_that_can_not_be_read_keeps_none_of_the_others_from_being_uploaded(
    tree: Path, bucket: str, server: Server
):
    """A dangling link stopped the upload, before anything of Test had gone up; a name that is no UTF-8 did as well."""
    (tree / "Training").mkdir(exist_ok=True)
    (tree / "Training" / "0.jpg").symlink_to("nowhere")
    with pytest.raises(UserError, match=r"^1 of 6 files are not in .*, the others are; the first: .*0\.jpg' can't be"):
        upload(str(tree), f"s3://{bucket}/data")
    found = {entry["Key"] for entry in server.client().list_objects_v2(Bucket=bucket)["Contents"]}
    assert found == {f"data/{name}" for name in NAMES}, "and no _SUCCESS"
    (tree / "Training" / "0.jpg").unlink()
    assert upload(str(tree), f"s3://{bucket}/data").skipped == 5


def test_an_object_of_several_parts_is_known_again(tmp_path: Path, bucket: str, server: Server):
    (tmp_path / "big").mkdir()
    (tmp_path / "big" / "x.bin").write_bytes(b"0123456789" * 4_000_000)
    assert upload(str(tmp_path / "big"), f"s3://{bucket}").uploaded == 1
    assert "-" in server.client().head_object(Bucket=bucket, Key="x.bin")["ETag"]
    assert upload(str(tmp_path / "big"), f"s3://{bucket}").skipped == 1


@on_one
@pytest.mark.parametrize("kind", ["503", "400", "reset"])
def test_an_upload_goes_through_passing_faults(tree: Path, bucket: str, behind_proxy: Callable[..., Proxy], kind: str):
    for number in range(50):
        (tree / "Training" / "🍎" / f"{number}.jpg").write_bytes(b"x" * number)
    proxy = behind_proxy(every(3, kind, "PUT"))
    assert upload(str(tree), f"s3://{bucket}").uploaded == 55
    assert proxy.seen[kind] > 5
    there, here = (storage.list_images(where).select(["name", "size"]) for where in (f"s3://{bucket}", str(tree)))
    assert there.equals(here)


@pytest.mark.parametrize("public", [False, True])
def test_an_upload_that_everybody_may_read_is_asked_for_and_warns(
    tree: Path, bucket: str, behind_proxy: Callable[..., Proxy], capsys: pytest.CaptureFixture[str], public: bool
):
    proxy = behind_proxy()
    code = cli.main(["upload", str(tree), f"s3://{bucket}/data", *(["--public-read"] if public else [])])
    out = capsys.readouterr().out
    warning = 'event=warning message="Everybody will be able to read what is uploaded (--public-read)."'
    assert out.count(warning) == public
    assert public or "event=warning" not in out
    open_to_all = [b"x-amz-acl: public-read" in head.lower() for head in proxy.heads if head.startswith(b"PUT")]
    assert open_to_all
    assert set(open_to_all) == {public}
    assert code in ({0, 1} if public else {0})  # a server may refuse ACLs altogether


def test_an_upload_without_the_right_to_write_says_so(
    tree: Path, bucket: str, server: Server, use: Callable[[dict[str, str]], None]
):
    use(server.reader(bucket))
    with pytest.raises(UserError, match=r"can't be written: the credentials .* have no right to"):
        upload(str(tree), f"s3://{bucket}/data")


@on_one
def test_upload_wants_a_folder_and_a_bucket(tree: Path, bucket: str):
    with pytest.raises(UsageError, match="is no s3:// address"):
        upload(str(tree), str(tree))
    with pytest.raises(UsageError, match="is no folder of this machine"):
        upload(f"s3://{bucket}", f"s3://{bucket}/x")
    with pytest.raises(UserError, match="is not there"):
        upload(str(tree / "nothing"), f"s3://{bucket}/x")


# ---- pack


def test_pictures_are_packed_from_bucket_to_bucket(tree: Path, bucket: str):
    upload(str(tree), f"s3://{bucket}/data")
    done = pack(f"s3://{bucket}/data", f"s3a://{bucket}/packed data/")
    assert (done.images, done.files, done.faults) == (4, 1, {"empty": 1})
    root = storage.data_root(f"s3://{bucket}/packed data")
    assert storage.is_packed(root)
    listed = storage.list_images(root)
    assert listed.select(["name", "size"]).equals(storage.list_images(str(tree)).select(["name", "size"]))
    names = listed["name"].to_pylist()
    packed, plain = (list(storage.read_many(where, names, max_bytes=10_000)) for where in (root, str(tree)))
    assert packed == plain
    assert storage.data_root(f"s3://{bucket}/data") == f"s3://{bucket}/data"


@on_one
def test_what_a_killed_pack_has_left_in_a_bucket_is_removed_by_the_next_one(tree: Path, bucket: str, server: Server):
    target = f"s3://{bucket}/packed"
    program = f"""
import os, signal
from job.storage.pack import pack
number = 0
def progress(done, of):
    global number
    number += 1
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
pack({str(tree)!r}, {target!r}, file_bytes=1, progress=progress)
"""
    killed = subprocess.run([sys.executable, "-c", program], check=False, timeout=300)
    assert killed.returncode == -9
    left = {entry["Key"] for entry in server.client().list_objects_v2(Bucket=bucket)["Contents"]}
    assert any(key.endswith(".parquet") for key in left)
    done = pack(str(tree), target)
    keys = {entry["Key"] for entry in server.client().list_objects_v2(Bucket=bucket)["Contents"]}
    assert not keys & left
    assert len(keys) == done.files + 1


@on_one
@pytest.mark.parametrize("kind", ["503", "reset", "cut"])
def test_packed_pictures_are_read_through_passing_faults(
    tree: Path, bucket: str, behind_proxy: Callable[..., Proxy], kind: str
):
    pack(str(tree), f"s3://{bucket}/packed")
    behind_proxy(every(2, kind))
    root = storage.data_root(f"s3://{bucket}/packed")
    names = storage.list_images(root)["name"].to_pylist()
    packed, plain = (list(storage.read_many(where, names, max_bytes=10_000)) for where in (root, str(tree)))
    assert packed == plain


# ---- credentials


class Issuer:
    """Hands out keys as the endpoint of containers does, and as the token service does for a web identity."""

    def __init__(self, keys: dict[str, str]) -> None:
        issuer = self
        self.asked: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked.append(f"{self.path} {self.headers.get('Authorization')}")
                names = {"AccessKeyId": "AccessKeyId", "SecretAccessKey": "SecretAccessKey", "SessionToken": "Token"}
                body = {new: keys[old] for old, new in names.items()}
                self.answer(json.dumps({**body, "Expiration": keys["Expiration"]}))

            def do_POST(self) -> None:
                issuer.asked.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
                fields = "".join(f"<{name}>{value}</{name}>" for name, value in keys.items())
                name = "AssumeRoleWithWebIdentity"
                space = 'xmlns="https://sts.amazonaws.com/doc/2011-06-15/"'
                inner = f"<{name}Result><Credentials>{fields}</Credentials></{name}Result>"
                self.answer(f"<{name}Response {space}>{inner}</{name}Response>")

            def answer(self, text: str) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self.server.server_port}"


# versitygw has no session tokens
with_tokens = on_one


@pytest.fixture
def issuer(server: Server) -> Iterator[Issuer]:
    service = botocore.session.Session().create_client(
        "sts",
        region_name="us-east-1",
        endpoint_url=server.endpoint,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
    )
    found = service.assume_role(RoleArn="arn:aws:iam::123456789012:role/fruits", RoleSessionName="fruits")[
        "Credentials"
    ]
    running = Issuer({**found, "Expiration": found["Expiration"].strftime("%Y-%m-%dT%H:%M:%SZ")})
    yield running
    running.server.shutdown()
    running.server.server_close()


@pytest.fixture
def token(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text("the-token")
    return file


def write_and_read(bucket: str) -> None:
    """Once by each client."""
    storage.write_bytes(f"s3://{bucket}/a.jpg", b"content")
    assert list(storage.read_many(f"s3://{bucket}", ["a.jpg"], max_bytes=10)) == [b"content"]


@with_tokens
def test_the_role_of_a_pod_works_for_both_clients(
    bucket: str, server: Server, issuer: Issuer, token: Path, use: Callable[[dict[str, str]], None]
):
    use(
        {
            "AWS_ENDPOINT_URL_S3": server.endpoint,
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{issuer.address}/v1/credentials",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token),
        }
    )
    assert storage.s3_config().credentials is Credentials.CONTAINER
    write_and_read(bucket)
    assert issuer.asked == ["/v1/credentials the-token"] * 2


@with_tokens
def test_the_role_of_a_service_account_works_for_both_clients(
    bucket: str, server: Server, issuer: Issuer, token: Path, use: Callable[[dict[str, str]], None]
):
    use(
        {
            "AWS_ENDPOINT_URL_S3": server.endpoint,
            "AWS_ENDPOINT_URL_STS": issuer.address,
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(token),
            "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/fruits",
            "AWS_REGION": "us-east-1",
        }
    )
    assert storage.s3_config().credentials is Credentials.WEB_IDENTITY
    write_and_read(bucket)
    assert len(issuer.asked) == 2
    assert all("WebIdentityToken=the-token" in asked for asked in issuer.asked)


@with_tokens
@pytest.mark.skipif(not shutil.which("java") and "CI" not in os.environ, reason="no Java on this machine")
def test_both_roles_work_for_spark(server: Server, issuer: Issuer, token: Path):
    environment = {
        **{name: value for name, value in clean_environment().items() if not name.startswith("AWS_")},
        "AWS_ENDPOINT_URL_S3": server.endpoint,
        "AWS_ENDPOINT_URL_STS": issuer.address,
        "AWS_REGION": "us-east-1",
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(token),
        "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/fruits",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{issuer.address}/v1/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token),
        "PYTHONPATH": str(Path.cwd()),
    }
    command = [sys.executable, str(Path(__file__).with_name("spark_roles.py")), server.bucket(), server.bucket()]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr[-5_000:]
    assert json.loads(done.stdout.splitlines()[-1]) == [10, 10]
    asked = {"account" if "AssumeRoleWithWebIdentity" in asked else asked for asked in issuer.asked}
    assert asked == {"account", "/v1/credentials the-token"}


def test_the_keys_of_a_profile_work_for_both_clients(
    bucket: str, server: Server, tmp_path: Path, use: Callable[[dict[str, str]], None]
):
    keys = f"aws_access_key_id = {server.access_key}\naws_secret_access_key = {server.secret_key}\n"
    (tmp_path / "credentials").write_text(f"[fruits]\n{keys}")
    (tmp_path / "config").write_text(f"[profile fruits]\nregion = us-east-1\nendpoint_url = {server.endpoint}\n")
    use(
        {
            "AWS_PROFILE": "fruits",
            "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
            "AWS_CONFIG_FILE": str(tmp_path / "config"),
        }
    )
    assert storage.s3_config().credentials is Credentials.PROFILE
    write_and_read(bucket)


@on_one
def test_no_credentials_at_all_is_one_sentence(
    bucket: str, server: Server, tmp_path: Path, use: Callable[[dict[str, str]], None]
):
    none = {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "a"), "AWS_CONFIG_FILE": str(tmp_path / "b")}
    use({"AWS_ENDPOINT_URL": server.endpoint, "AWS_EC2_METADATA_DISABLED": "true", **none})
    for action in (storage.check, lambda uri: storage.RunFolder(uri, "run").check_writable()):
        with pytest.raises(UserError, match=r"No credentials for 's3://.*': set AWS_ACCESS_KEY_ID"):
            action(f"s3://{bucket}")
