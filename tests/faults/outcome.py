"""What a run left: whether it is whole, and whether it is what an undisturbed run leaves."""

import hashlib
import json
from pathlib import Path

import numpy as np
from compare import assert_same_results
from s3_servers import Server

# So little that a run takes seconds, in enough tasks that some are going on whenever something happens.
SETTINGS = ("--preset", "sift", "--words", "30", "--min-partitions", "12")


def flaws(folder: Path) -> list[str]:
    """What is wrong with a folder that says it is whole: files that its manifest tells otherwise."""
    told = {file["path"]: file for file in json.loads((folder / "manifest.json").read_bytes())["files"]}
    there = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    there.pop("manifest.json")
    found = [f"{name} is there and not told" for name in there if name not in told]
    for name, file in told.items():
        if name not in there:
            found.append(f"{name} is missing")
        elif hashlib.sha256(there[name].read_bytes()).hexdigest() != file["sha256"]:
            found.append(f"{name} is another")
    return found


def assert_same(folder: Path, undisturbed: Path) -> None:
    """The folder is whole and holds what an undisturbed run of the same settings left, the model included."""
    assert not flaws(folder)
    assert_same_results(folder, undisturbed)
    ours, theirs = _arrays(folder), _arrays(undisturbed)
    assert [name for name, _ in ours] == [name for name, _ in theirs]
    for (name, mine), (_, other) in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-6, atol=1e-6, err_msg=name)


def _arrays(folder: Path) -> list[tuple[str, np.ndarray]]:
    """The arrays of a model by stage and name; a stage's folder is named `<number>_<kind>_<unique>`."""
    found = []
    for file in sorted((folder / "model" / "stages").glob("*/data/arrays.npz"), key=lambda file: file.parts[-3]):
        stage = file.parts[-3].rsplit("_", 1)[0]
        with np.load(file) as arrays:
            found += [(f"{stage}/{name}", arrays[name]) for name in sorted(arrays)]
    return [(name, array) for name, array in found if array.dtype.kind == "f"]


def fetch(server: Server, bucket: str, prefix: str, folder: Path) -> Path:
    """What the store itself holds below a prefix, as a folder."""
    client = server.client()
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/"):
        for entry in page.get("Contents", []):
            target = folder / entry["Key"].removeprefix(f"{prefix}/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(client.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read())
    return folder
