"""Damaged pictures under hostile names in a bucket: each is listed, and read as it is or named as unreadable."""

import re

from accounts import placed, put
from mutations import generated, mutated
from s3_servers import Server

from job import storage
from job.storage import Fault

COUNT = 400


def test_every_object_is_listed_and_read_whatever_its_name_and_content(server: Server, bucket: str):
    contents = dict(placed(mutated(COUNT, 21, generated(4))))
    refused = put(server.client(), bucket, contents)
    assert len(refused) < COUNT / 20
    listed = storage.list_images(f"s3://{bucket}/data")["name"].to_pylist()
    there = {as_listed(server, path): contents[path] for path in contents.keys() - refused}
    assert sorted(listed) == sorted(there)
    found = dict(zip(listed, storage.read_many(f"s3://{bucket}/data", listed, max_bytes=1 << 24), strict=True))
    for path, content in found.items():
        if content == Fault("unreadable"):  # obstore can't name keys with control characters
            assert not path.isprintable() or "\ufffd" in path, path
        else:
            assert content == (there[path] or Fault("empty")), path
    assert sum(isinstance(content, bytes) for content in found.values()) > COUNT * 0.7


def as_listed(server: Server, path: str) -> str:
    """versitygw writes what XML can't hold as U+FFFD: such an object is listed under a name that it has not."""
    return re.sub("[\x01-\x08\x0b\x0c\x0e-\x1f]", "\ufffd", path) if server.kind == "versitygw" else path
