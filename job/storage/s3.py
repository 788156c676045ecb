"""Object stores: obstore for listings and for the many small reads, s3fs for the file-system work."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import obstore
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from obstore.exceptions import BaseError, InvalidPathError

from job.errors import UserError
from job.storage import s3_read
from job.storage.clients import file_system, object_store
from job.storage.config import S3Config, s3_config
from job.storage.faults import again, explained, s3_code
from job.storage.names import HIDDEN, PassedOver, is_hidden, pictures
from job.storage.types import LISTING, Fault
from job.storage.uris import split_s3

_LISTING_THREADS = 16
_LISTING_CHUNK = 10_000
# Seconds for which a question is repeated that is to be answered soon.
_HASTE = 2.0
# With more folders than this, one listing of their parents is faster than a listing of each.
_MOST_PREFIXES = 4_000
_THERE_ALREADY = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}
_met: set[tuple[S3Config, str]] = set()


def check(uri: str) -> None:
    """Lists one key below `uri`; raises UserError within 15 s if that does not work: a wrong key, no such bucket."""
    bucket, key = split_s3(uri)
    store = object_store(bucket, hasty=True)
    with explained(uri, "list"), contextlib.suppress(InvalidPathError):  # there is a key, if an odd one
        if not next(iter(obstore.list(store, key or None, chunk_size=1)), None) and _answers_anything(store):
            raise UserError(f"What answers at {s3_config().endpoint} is no S3 store: check AWS_ENDPOINT_URL.")


def _meet(uri: str) -> None:
    """Checks a bucket when this process asks something of it for the first time: later on, faults are waited for."""
    place = (s3_config(), split_s3(uri)[0])
    if place not in _met:
        check(uri)
        _met.add(place)


def list_images(
    uri: str, prefix: str, folders: Collection[str] = (), passed_over: PassedOver | None = None
) -> pa.Table:
    """See `job.storage.list_images`; pictures of all folders come in the same answers.

    Keys that obstore can't name, with a control character or an empty folder name, are listed too: one request after
    another. They are pictures that can't be read.
    """
    del folders
    _meet(uri)
    bucket, key = split_s3(uri)
    base = f"{key}/" if key else ""
    with explained(uri, "list"):
        try:
            found = PassedOver()
            table = _list_by_folders(object_store(bucket), base, prefix, found)
        except InvalidPathError:
            found = PassedOver()
            table = _list_by_keys(bucket, base, prefix, found)
    if passed_over is not None:
        passed_over.add(kind for kind, count in found.counts().items() for _ in range(count))
    return table


def _list_by_folders(store: obstore.store.S3Store, base: str, prefix: str, passed_over: PassedOver) -> pa.Table:
    """Opens two levels of folders (`Training/`, then its categories), and lists what is below each at the same time."""
    with ThreadPoolExecutor(_LISTING_THREADS) as pool:
        tables: list[pa.Table] = []
        level = [f"{base}{prefix}"]
        for _ in range(2):
            opened = list(pool.map(lambda folder: again(lambda: _open_folder(store, folder)), level))
            inside = [folder for folders, _ in opened for folder in folders]
            below = [folder for folder in inside if not _is_hidden(folder)]
            if len(below) > _MOST_PREFIXES:
                break
            passed_over.add(HIDDEN for _ in range(len(inside) - len(below)))
            tables += [_pictures(objects, base, prefix, passed_over) for _, objects in opened]
            level = sorted(below, key=lambda folder: f"{folder}/")  # then what is below them comes sorted
        tables += pool.map(lambda folder: again(lambda: _list_all(store, folder, base, prefix, passed_over)), level)
    return pa.concat_tables([LISTING.empty_table(), *tables])


def _list_by_keys(bucket: str, base: str, prefix: str, passed_over: PassedOver) -> pa.Table:
    """Lists keys as they are, by s3fs."""
    files, tables = file_system(), [LISTING.empty_table()]
    request = {"Bucket": bucket, "Prefix": f"{base}{prefix}/" if prefix else base}
    while True:
        found = again(lambda: files.call_s3("list_objects_v2", **request))
        objects = found.get("Contents", [])
        paths, sizes = [entry["Key"] for entry in objects], [entry["Size"] for entry in objects]
        times = pa.array([entry["LastModified"] for entry in objects], pa.timestamp("us", "UTC"))
        tags = pa.array([entry.get("ETag") for entry in objects], pa.string())
        columns = [pa.array(paths, pa.string()), pa.array(sizes, pa.int64()), times, tags]
        table = pa.table(columns, names=["path", "size", "last_modified", "e_tag"])
        tables.append(_pictures(table, base, prefix, passed_over))
        if not found.get("IsTruncated"):
            return pa.concat_tables(tables)
        request["ContinuationToken"] = found["NextContinuationToken"]


def list_folders(uri: str, prefix: str) -> list[str]:
    """Names of the folders directly below that are not hidden, sorted."""
    _meet(uri)
    bucket, key = split_s3(f"{uri}/{prefix}")
    with explained(uri, "list"):
        folders, _ = again(lambda: _open_folder(object_store(bucket), key))
    return sorted(folder.rsplit("/", 1)[-1] for folder in folders if not _is_hidden(folder))


def read_many(uri: str, names: Sequence[str], max_bytes: int, in_flight: int) -> Iterator[bytes | Fault]:
    """See `job.storage.read_many`."""
    return s3_read.read_many(uri, names, max_bytes, in_flight)


def exists(uri: str) -> bool:
    """Whether there is an object of that key, or one below it."""
    _meet(uri)
    with explained(uri, "read"):
        return bool(file_system().exists(_path(uri)))


def modified(uri: str) -> float | None:
    """Seconds since 1970 at which the object was last written; None if it is not there."""
    _meet(uri)
    bucket, key = split_s3(uri)
    with explained(uri, "read"):
        try:
            found = again(lambda: obstore.head(object_store(bucket), key))
        except FileNotFoundError:
            return None
    return found["last_modified"].timestamp()


def read_bytes(uri: str) -> bytes:
    """The content of one object. By obstore: a worker that reads an index needs no s3fs, half a second of imports."""
    _meet(uri)
    bucket, key = split_s3(uri)
    with explained(uri, "read"):
        return again(lambda: bytes(obstore.get(object_store(bucket), key).bytes()))


def write_bytes(uri: str, data: bytes, *, public_read: bool = False) -> None:
    """One PUT, or a multipart upload: whole or absent either way."""
    with explained(uri, "write"):
        again(lambda: file_system().pipe_file(_path(uri), data, **_acl(public_read)))


def put_file(uri: str, file: Path) -> None:
    """Sends a file of this machine, in parts of 16 MB: whole or absent."""
    bucket, key = split_s3(uri)
    with explained(uri, "write"):
        again(lambda: obstore.put(object_store(bucket), key, file, chunk_size=16 << 20))


def create(uri: str, data: bytes) -> bool:
    """Writes an object that must not exist yet; False if it does. Of two at the same time, one succeeds.

    `data` tells its writer apart: a lost answer is followed by another try, which may find the first one's object.
    """
    bucket, key = split_s3(uri)

    def put() -> bool:
        try:
            obstore.put(object_store(bucket), key, data, mode="create")
        except (FileExistsError, BaseError) as error:
            if isinstance(error, FileExistsError) or s3_code(error) in _THERE_ALREADY:
                return bytes(obstore.get(object_store(bucket), key).bytes()) == data
            raise
        return True

    with explained(uri, "write"):
        return again(put)


def delete(uri: str) -> None:
    """Removes one object."""
    bucket, key = split_s3(uri)
    with explained(uri, "delete"):
        again(lambda: obstore.delete(object_store(bucket), key))


def make_folder(uri: str) -> None:
    """Puts the empty object that Hadoop takes for a folder."""
    bucket, key = split_s3(uri)
    with explained(uri, "write"):
        if key:
            file_system().call_s3("put_object", Bucket=bucket, Key=f"{key}/", Body=b"")


def delete_folder(uri: str) -> None:
    """Removes everything below `uri`, the empty objects that stand for folders too."""
    with explained(uri, "delete"), contextlib.suppress(FileNotFoundError):
        file_system().rm(_path(uri), recursive=True)


def files(uri: str) -> dict[str, int]:
    """Names and sizes of the objects directly below `uri`, the hidden ones left out."""
    _meet(uri)
    bucket, key = split_s3(uri)
    with explained(uri, "list"):
        _, found = again(lambda: _open_folder(object_store(bucket), key))
    names = (path.rsplit("/", 1)[-1] for path in found["path"].to_pylist())
    return {name: size for name, size in zip(names, found["size"].to_pylist(), strict=True) if not is_hidden(name)}


def walk(uri: str) -> Iterator[str]:
    """Keys below `uri`, relative to it, without the empty objects that stand for folders."""
    start = f"{_path(uri)}/"
    with explained(uri, "list"):
        found = file_system().find(start)
    # `find` may give the folder itself where nothing is below it
    return iter([path[len(start) :] for path in found if path.startswith(start) and not path.endswith("/")])


def digest(uri: str) -> tuple[int, str]:
    """(bytes, SHA-256) of one object, read in pieces."""
    bucket, key = split_s3(uri)

    def read() -> tuple[int, str]:
        found, size = hashlib.sha256(), 0
        for piece in obstore.get(object_store(bucket), key).stream(min_chunk_size=1 << 20):
            found.update(piece)
            size += len(piece)
        return size, found.hexdigest()

    with explained(uri, "read"):
        return again(read)


def probe(uri: str) -> None:
    """Writes and removes an object below `uri`; raises UserError within 15 s if that does not work."""
    _meet(uri)
    bucket, key = split_s3(f"{uri}/.probe-{secrets.token_hex(6)}")
    with explained(uri, "write"):
        store = object_store(bucket, hasty=True)
        again(lambda: obstore.put(store, key, b"", use_multipart=False), _HASTE)
        again(lambda: obstore.delete(store, key), _HASTE)


def _answers_anything(store: obstore.store.S3Store) -> bool:
    """Whether an object of a name that nobody can know is found: a web page, whose HTML passes for an empty listing."""
    try:
        obstore.get(store, f"check-{secrets.token_hex(16)}")
    except (BaseError, OSError) as error:
        return s3_code(error) == "404" or "missing from response" in str(error)
    return True


def _path(uri: str) -> str:
    return "/".join(split_s3(uri)).rstrip("/")


def _acl(public_read: bool) -> dict[str, str]:
    return {"ACL": "public-read"} if public_read else {}


def _open_folder(store: obstore.store.S3Store, folder: str) -> tuple[list[str], pa.Table]:
    found = obstore.list_with_delimiter(store, folder or None, return_arrow=True)
    return list(found["common_prefixes"]), pa.table(found["objects"])


def _is_hidden(folder: str) -> bool:
    return is_hidden(folder.rsplit("/", 1)[-1])


def _list_all(store: obstore.store.S3Store, folder: str, base: str, prefix: str, passed_over: PassedOver) -> pa.Table:
    stream = obstore.list(store, folder or None, chunk_size=_LISTING_CHUNK, return_arrow=True)
    tables = [_pictures(pa.Table.from_batches([pa.record_batch(batch)]), base, prefix, passed_over) for batch in stream]
    return pa.concat_tables([LISTING.empty_table(), *tables])


def _pictures(objects: pa.Table, base: str, prefix: str, passed_over: PassedOver) -> pa.Table:
    names = pc.utf8_slice_codeunits(objects["path"], len(base))
    changed = objects["last_modified"].cast(pa.timestamp("us", "UTC")).cast(pa.int64())
    versions = pa.array(changed.to_numpy() ^ _numbers(objects["e_tag"].cast(pa.string())))
    table = pa.table([names, objects["size"].cast(pa.int64()), changed, versions], schema=LISTING)
    return pictures(table, prefix, passed_over)


def _numbers(tags: pa.ChunkedArray) -> NDArray[np.int64]:
    """A number for each ETag: its first 16 digits where all are hexadecimal ones, as those of MD5 are."""
    texts = pc.utf8_trim(pc.fill_null(tags, ""), '"').combine_chunks()
    if pc.all(pc.match_substring_regex(texts, "^[0-9a-f]{16}")).as_py():
        # as bytes that follow each other, without a Python string for each
        digits = pc.utf8_slice_codeunits(texts, 0, 16).cast(pa.binary()).cast(pa.binary(16))
        found = bytes.fromhex(digits.buffers()[1].to_pybytes()[: 16 * len(digits)].decode())
        return np.frombuffer(found, ">i8").astype(np.int64)
    digests = b"".join(hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts.to_pylist())
    return np.frombuffer(digests, ">i8").astype(np.int64)
