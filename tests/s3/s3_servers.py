"""Real S3 servers on loopback, with a random port and random credentials, and what a test does to them."""

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from pathlib import Path

import botocore.config
import botocore.exceptions
import botocore.session
import pytest
from running import free_port

CACHE = Path.home() / ".cache" / "fruits-cluster" / "bin"
PROGRAMS = {"minio": "FRUITS_MINIO", "versitygw": "FRUITS_VERSITYGW"}
# For what is our own work whatever the store answers: how faults of the way to it are met, other addresses, arguments.
on_one = pytest.mark.parametrize("server", ["minio"], indirect=True)


def program(kind: str) -> str | None:
    """The server's binary: named by the environment, on the path, or built into the user's cache."""
    named = os.environ.get(PROGRAMS[kind])
    if named:
        return named
    built = CACHE / kind
    return shutil.which(kind) or (str(built) if built.is_file() else None)


class Server:
    """One running server and its root credentials."""

    def __init__(self, kind: str, binary: str, folder: Path) -> None:
        self.kind = kind
        self.binary = binary
        self.folder = folder
        self.port = free_port()
        self.access_key = f"key{secrets.token_hex(6)}"
        self.secret_key = secrets.token_hex(16)
        self.process: subprocess.Popen[bytes] | None = None
        (folder / "data").mkdir(parents=True, exist_ok=True)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self, endpoint: str | None = None) -> dict[str, str]:
        """The AWS variables of a client of this server."""
        return {
            "AWS_ENDPOINT_URL": endpoint or self.endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
        }

    def start(self) -> None:
        address = f"127.0.0.1:{self.port}"
        if self.kind == "minio":
            command = [self.binary, "server", str(self.folder / "data"), "--address", address, "--quiet"]
            names = {"MINIO_ROOT_USER": self.access_key, "MINIO_ROOT_PASSWORD": self.secret_key, "MINIO_BROWSER": "off"}
        else:
            command = [self.binary, "--port", address, "--keep-alive", "--quiet"]
            iam = self.folder / "iam"
            iam.mkdir(exist_ok=True)
            command += [
                "--iam-dir",
                str(iam),
                "posix",
                "--sidecar",
                str(self.folder / "meta"),
                str(self.folder / "data"),
            ]
            (self.folder / "meta").mkdir(exist_ok=True)
            names = {"ROOT_ACCESS_KEY": self.access_key, "ROOT_SECRET_KEY": self.secret_key}
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, env={**os.environ, **names}, stdout=log, stderr=log)
        self._wait()

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(2)  # idle connections may hold it longer
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def _wait(self) -> None:
        deadline = time.monotonic() + 180
        client = self.client()
        while True:
            try:
                client.list_buckets()
            except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
                assert self.process is not None
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{self.kind} did not start: {(self.folder / 'log').read_text()}") from error
                time.sleep(0.1)
            else:
                return

    def client(self, access_key: str | None = None, secret_key: str | None = None):
        """A botocore client: what the tests look at the store with, apart from the code under test."""
        return botocore.session.Session().create_client(
            "s3",
            region_name="us-east-1",
            endpoint_url=self.endpoint,
            aws_access_key_id=access_key or self.access_key,
            aws_secret_access_key=secret_key or self.secret_key,
            config=botocore.config.Config(
                s3={"addressing_style": "path"}, retries={"max_attempts": 1}, connect_timeout=2
            ),
        )

    def bucket(self) -> str:
        """A new, empty bucket."""
        name = f"fruits-{secrets.token_hex(6)}"
        self.client().create_bucket(Bucket=name)
        return name

    def reader(self, bucket: str) -> dict[str, str]:
        """AWS variables of a user who may list and read the bucket but not write to it."""
        name, secret = f"reader{secrets.token_hex(4)}", secrets.token_hex(16)
        policy = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": ["s3:GetObject", "s3:ListBucket"],
                    "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
                }
            ],
        }
        if self.kind == "minio":
            file = self.folder / f"{name}.json"
            file.write_text(json.dumps(policy))
            self._mc("admin", "user", "add", "it", name, secret)
            self._mc("admin", "policy", "create", "it", name, str(file))
            self._mc("admin", "policy", "attach", "it", name, "--user", name)
        else:
            self._gateway("create-user", "--access", name, "--secret", secret, "--role", "user")
            policy["Statement"][0]["Principal"] = {"AWS": [name]}
            self.client().put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
        return {**self.environment(), "AWS_ACCESS_KEY_ID": name, "AWS_SECRET_ACCESS_KEY": secret}

    def _mc(self, *arguments: str) -> None:
        binary = shutil.which("mc") or str(Path(self.binary).with_name("mc"))
        names = {"MC_HOST_it": f"http://{self.access_key}:{self.secret_key}@127.0.0.1:{self.port}"}
        command = [binary, "--config-dir", str(self.folder / "mc"), *arguments]
        subprocess.run(command, env={**os.environ, **names}, check=True, stdout=sys.stderr)

    def _gateway(self, *arguments: str) -> None:
        command = [self.binary, "admin", "--access", self.access_key, "--secret", self.secret_key]
        command += ["--endpoint-url", self.endpoint, *arguments]
        subprocess.run(command, check=True, stdout=sys.stderr)
