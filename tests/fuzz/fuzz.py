"""Coverage-guided fuzzing of what reads strangers' bytes: `fuzz.py TARGET [--seconds N]`.

    pip install atheris
    python tests/fuzz/fuzz.py decode --seconds 3600

| target | what it is given | what may be raised |
|---|---|---|
| `decode` | bytes of a picture, described by a histogram of colours too | `Unusable` |
| `listing` | names of files, addresses, a file of labels | `UserError` |
| `packed` | the index of packed pictures, or a file of them | `UserError` |
| `model` | a model's description or one of its arrays, signed again as a stranger would | `UserError` |
| `settings` | a settings file | `UserError` |

Anything else that is raised, a crash, 20 s for one input or 2 GB of memory end it, and leave the input beside `--work`.
What was found became tests.
"""

import argparse
import contextlib
import io
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

TESTS = Path(__file__).resolve().parent.parent
sys.path += [str(TESTS), str(TESTS / "model")]

with atheris.instrument_imports(include=["job"], enable_loader_override=False):
    import numpy as np
    import pyarrow as pa
    import stored
    from mutations import generated

    import job.settings
    from job import dataset, load_model, storage
    from job.errors import UserError
    from job.experiment.choices import choices
    from job.labels import read_labels
    from job.model import format as model_format
    from job.storage import names, packed, uris
    from job.storage.pack import pack
    from job.vision import pixels
    from job.vision.descriptors import DESCRIPTORS
    from job.vision.picture import Picture

PLACE = Path(tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
PICTURE = generated(1)[0]


# ---- decode


def decode(data: bytes) -> None:
    with contextlib.suppress(pixels.Unusable):
        picture = Picture.decode(data, max_bytes=1 << 20)
        assert picture.colour.dtype == np.uint8
        DESCRIPTORS.get("hsv").describe(picture)


def seeds_of_decode() -> list[bytes]:
    return generated(6)


# ---- listing


def listing(data: bytes) -> None:
    provider = atheris.FuzzedDataProvider(data)
    text = provider.ConsumeUnicodeNoSurrogates(200)
    found = [part for part in text.split("\0") if part] or ["a/b.jpg"]
    size = pa.array([1] * len(found), pa.int64())
    table = names.pictures(pa.table([found, size, size, size], schema=storage.LISTING), found[0])
    assert table.num_rows <= len(found)
    cats = dataset.folders_of(table["name"])
    names.is_sorted(table["name"])
    table.append_column("cat", cats)
    with contextlib.suppress(UserError):
        for address in found:
            uris.split_s3(f"s3://{uris.normalise(address)}")
            uris.join(address, *found)
            uris.hadoop_uri(address)
    (PLACE / "labels.csv").write_bytes(provider.ConsumeBytes(len(data)))
    with contextlib.suppress(UserError):
        labels = read_labels(str(PLACE / "labels.csv"), str(PLACE))
        assert labels
        assert all(labels.values())


def seeds_of_listing() -> list[bytes]:
    return [
        b"Training/A/1.jpg\0.hidden/x.png\0s3://bucket/key",
        'path,category\na/1.jpg,"é, x"\n'.encode(),
        b"a,b\r\nc,d",
    ]


# ---- packed


def _pack() -> dict[str, bytes]:
    source = PLACE / "source"
    for number in range(4):
        path = source / "Training" / "AB"[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(PICTURE[:300])
    pack(str(source), str(PLACE / "pack"))
    return {path.name: path.read_bytes() for path in (PLACE / "pack").iterdir()}


PACK: dict[str, bytes] = {}


def read_packed(data: bytes) -> None:
    if not PACK:
        PACK.update(_pack())
    index = data[:1] == b"{"
    (part,) = (name for name in PACK if name.endswith(".parquet"))
    (PLACE / "pack" / storage.INDEX).write_bytes(data if index else PACK[storage.INDEX])
    (PLACE / "pack" / part).write_bytes(PACK[part] if index else data)
    packed.index.cache_clear()
    packed._footer.cache_clear()
    with contextlib.suppress(UserError):
        root = storage.data_root(str(PLACE / "pack"))
        found = storage.list_images(root)
        storage.list_folders(root)
        storage.blocks_of(root, found["name"])
        wanted = [*found["name"].to_pylist()[:10], "Training/A/0.jpg", "nowhere.jpg"]
        contents = list(storage.read_many(root, wanted, max_bytes=1 << 20))
        assert len(contents) == len(wanted)


def seeds_of_packed() -> list[bytes]:
    PACK.update(_pack())
    return list(PACK.values())


# ---- model


def model(data: bytes) -> None:
    shutil.rmtree(PLACE / "model", ignore_errors=True)
    if data[:1] == b"{":
        parts = stored.files()
        parts["model.json"] = data
        with contextlib.suppress(ValueError, RecursionError):
            content = json.loads(data)
            if isinstance(content, dict):
                content["sha256"] = model_format._own_digest(content)
                parts["model.json"] = json.dumps(content).encode()
        stored.write(PLACE / "model", parts)
    else:
        paths = sorted(path for path in stored.files() if path.endswith(".npz"))
        stored.remade(PLACE / "model", replaced={paths[data[-1] % len(paths)] if data else paths[0]: data})
    with contextlib.suppress(UserError):
        found = load_model(str(PLACE / "model"))
        (answer,) = found.predict([PICTURE])
        assert answer.status


def seeds_of_model() -> list[bytes]:
    return [content for path, content in stored.files().items() if path.endswith((".npz", "model.json"))]


# ---- settings


CHOICES = choices()


def settings(data: bytes) -> None:
    (PLACE / "run.toml").write_bytes(data)
    with contextlib.suppress(UserError):
        found = job.settings.resolve({"config": str(PLACE / "run.toml")}, {}, choices=CHOICES)
        json.dumps(found.public(), allow_nan=False)
        found.spark_conf()


def seeds_of_settings() -> list[bytes]:
    every = 'words = 30\nseed = 7\npreset = "sift"\ncategories = ["A", "B"]\nconf = ["spark.a=b"]\ndebug = true\n'
    return [
        every.encode(),
        b'features = "hsv+rootsift:vlad:64"\ntest_fraction = 0.2\n',
        b"[run]\nwords = 1e9\n",
        b"words = nan",
    ]


TARGETS: dict[str, tuple[Callable[[bytes], None], Callable[[], list[bytes]]]] = {
    "decode": (decode, seeds_of_decode),
    "listing": (listing, seeds_of_listing),
    "packed": (read_packed, seeds_of_packed),
    "model": (model, seeds_of_model),
    "settings": (settings, seeds_of_settings),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=3600)
    parser.add_argument("--work", type=Path, help="folder of the corpus, which is kept and gone on with")
    options = parser.parse_args()
    target, seeds = TARGETS[options.target]
    work = options.work or PLACE / "corpus"
    work.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds()):
        (work / f"seed-{number}").write_bytes(seed)
    found = f"{work.parent}/{options.target}-"
    sys.stderr = io.TextIOWrapper(os.fdopen(os.dup(2), "wb"), line_buffering=True)
    limits = [f"-max_total_time={options.seconds}", "-timeout=20", "-rss_limit_mb=2048", "-max_len=65536"]
    atheris.Setup([sys.argv[0], str(work), f"-artifact_prefix={found}", "-print_final_stats=1", *limits], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
