"""Descriptors of a split: extracted, or taken from the cache of earlier runs."""

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from job import dataset, storage
from job.errors import UserError
from job.experiment.recipe import Recipe
from job.kept import KEY, NAME, PART, Kept

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from job.stages import DescriptorExtractor

# Counts up when descriptors of the same name come to have other values, or files other columns.
_FORMAT = 4
# Decodes pictures, whatever describes them.
_DECODER = "opencv-python-headless"
# Each core writes a file after this share of its pictures, and after no fewer than this number of them.
_SHARE, _FEWEST = 1 / 40, 16
_READERS = 32


def described(
    spark: "SparkSession",
    stage: "DescriptorExtractor",
    images: dataset.Images,
    recipe: Recipe,
    count: int,
    cores: int,
    cached: str | None,
    copied: NDArray[np.bool_] | None = None,
) -> tuple["DataFrame", int]:
    """The pictures described by `stage` in `count` partitions, kept in memory and on disk by the executors; and how
    many of them were described before. `copied` (n,) says of which pictures copies are made; None: of all, or of none.

    With `cached`, an address, pictures that any run has described in the same way, and that are as they were then, are
    taken from there. Executors put all others there as they describe them, some at a time, so that a run that is killed
    loses little. Files are written whole and never changed: runs that share a cache do not disturb each other.

    Raises UserError where the cache can't be read, or can't be written and has to be.
    """
    if cached is None:
        return stage.transform(dataset.frame(spark, images, count, recipe.seed, cores, copied=copied)).persist(), 0
    changes = [stage.getOrDefault(name) for name in ("disturbance", "copies")]
    if copied is not None:  # a picture without its copies is another one
        versions = np.zeros(len(images), np.int64) if images.versions is None else images.versions.to_numpy()
        images = replace(images, versions=pa.array(versions ^ copied))
    place = folder_of(images, recipe, cached, changes)
    parts = parts_of(place, images)
    if parts.null_count:
        storage.check_writable(place)
    stage.kept = Kept(place, max(_FEWEST, int(len(images) * _SHARE / cores)))
    frame = dataset.frame(spark, images, count, recipe.seed, cores, parts, copied)
    return stage.transform(frame).drop("size", "version", PART).persist(), len(images) - parts.null_count


def parts_of(place: str, images: dataset.Images) -> pa.Array:
    """The name of the file below `place` that has each picture described as it is now, or null: string, in the order of
    `images.table`."""
    files = {name: size for name, size in sorted(storage.files(place).items()) if NAME.fullmatch(name)}
    with ThreadPoolExecutor(_READERS) as pool:
        read = list(pool.map(lambda name: _keys(storage.join(place, name), files[name]), files))
    numbers = np.repeat(np.arange(len(read)), [table.num_rows for table in read])
    found = pa.concat_tables(read) if read else _SCHEMA.empty_table()
    rows = pc.index_in(found["ima"].combine_chunks(), images.table["ima"].combine_chunks())
    there = np.flatnonzero(rows.is_valid())
    rows = rows.drop_null().to_numpy()
    versions = np.zeros(len(images), np.int64) if images.versions is None else images.versions.to_numpy()
    same = (found["size"].to_numpy()[there] == images.table["size"].to_numpy()[rows]) & (
        found["version"].to_numpy()[there] == versions[rows]
    )
    places = np.full(len(images), -1, np.int64)
    places[rows[same]] = numbers[there[same]]
    return pa.array(list(files), pa.string()).take(pa.array(places, mask=places < 0))


_SCHEMA = pa.schema([("ima", pa.string()), *((name, pa.int64()) for name in KEY[1:])])


def _keys(uri: str, size: int) -> pa.Table:
    """The pictures in a file; none where it is gone by now, can't be read for the moment, or is damaged, in which case
    it is removed."""
    try:
        found = storage.read_columns(uri, size, [*KEY, "copy"])
        if "copy" in found.column_names:
            found = found.filter(pc.equal(found["copy"], 0))
        return found.select(KEY).cast(_SCHEMA)
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        if not _may_pass(error):
            with suppress(UserError):  # it is gone, or the cache may only be read
                storage.delete(uri)
    except UserError:
        if storage.exists(uri):
            raise
    return _SCHEMA.empty_table()


def _may_pass(error: Exception) -> bool:
    """Whether reading a file failed for what is no damage of it: a lack of memory, or an error of the system, such as
    too many open files, which has a number. Arrow raises OSError for damaged files too, but without a number."""
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno is not None)


def folder_of(images: dataset.Images, recipe: Recipe, cached: str, changes: Sequence[Any] = ("", ())) -> str:
    """Where the cache keeps pictures of this address that are described in this way.

    The name is made of the address of the pictures, the descriptors, the versions of what computes them, the settings
    that decide which pictures are used and how, and what is done to them (`changes`). Names, sizes and versions of the
    pictures are in the files.
    """
    from importlib.metadata import PackageNotFoundError, version

    from job.vision.descriptors import DESCRIPTORS

    libraries = {}
    for library in (_DECODER, *(DESCRIPTORS.get(name).library for name in recipe.descriptors)):
        try:
            libraries[library] = version(library)
        except PackageNotFoundError:
            libraries[library] = ""
    key = [_FORMAT, images.root, recipe.descriptors, libraries, recipe.max_bytes, recipe.mask]
    if any(changes):
        key += [*changes, recipe.seed]
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:24]
    return storage.join(cached, f"{'+'.join(recipe.descriptors)}-{digest}")
