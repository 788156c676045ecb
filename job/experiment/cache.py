"""Descriptors of a split: extracted, or taken from the cache of an earlier run."""

import hashlib
import json
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from job import dataset, storage
from job.experiment.recipe import Recipe
from job.storage.uris import hadoop_uri

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from job.stages import DescriptorExtractor

# Counts up when descriptors of the same name come to have other values, or frames other columns.
_FORMAT = 3
# What Spark writes last into a folder of Parquet files.
_WHOLE = "_SUCCESS"
# Reasons that may pass: the store was not allowed or not able to hand a picture over. They are never kept.
PASSING = ("unreadable",)


def described(
    stage: "DescriptorExtractor", images: dataset.Images, frame: "DataFrame", recipe: Recipe, cached: str | None
) -> "DataFrame":
    """The frame with its pictures described by `stage`, kept in memory and on disk by the executors.

    With `cached`, an address, descriptors are written there as Parquet, under a name made of the pictures and of how
    they are described; what an earlier run wrote under that name is read, and nothing is extracted. Each run writes to
    a folder of its own beside the others, so that two runs on one cache never disturb each other. A run in which a
    picture could not be read for a reason that may pass keeps nothing.
    """
    from pyspark.sql import functions as F

    found = stage.transform(frame)
    if cached is None:
        return found.persist()
    changes = [stage.getOrDefault(name) for name in ("disturbance", "copies")]
    spark, place = frame.sparkSession, folder_of(images, recipe, cached, changes)
    whole = whole_attempt(place)
    if whole is None:
        found = found.persist()
        if found.where(F.col(stage.getOrDefault(stage.reasonCol)).isin(*PASSING)).limit(1).count():
            return found
        whole = storage.join(place, secrets.token_hex(8))
        found.write.parquet(hadoop_uri(whole))
        found.unpersist()
    return spark.read.parquet(hadoop_uri(whole)).persist()


def whole_attempt(place: str) -> str | None:
    """The address of descriptors that an earlier run has written whole below `place`, or None."""
    if not storage.exists(place):
        return None
    for name in storage.list_folders(place):
        if storage.exists(storage.join(place, name, _WHOLE)):
            return storage.join(place, name)
    return None


def folder_of(images: dataset.Images, recipe: Recipe, cached: str, changes: Sequence[Any] = ("", ())) -> str:
    """Where the cache keeps the descriptors of these pictures.

    The name is made of the address of the pictures, their names and sizes, when they changed last, the descriptors, the
    versions of what computes them, the settings that decide which pictures are used, and what is done to them
    (`changes`).
    """
    from importlib.metadata import PackageNotFoundError, version

    from job.vision.descriptors import DESCRIPTORS

    libraries = {}
    for name in recipe.descriptors:
        library = DESCRIPTORS.get(name).library
        try:
            libraries[library] = version(library)
        except PackageNotFoundError:
            libraries[library] = ""
    key = [
        _FORMAT,
        images.root,
        images.digest(),
        images.changed,
        recipe.descriptors,
        libraries,
        recipe.max_bytes,
        recipe.mask,
    ]
    if any(changes):
        key += [*changes, recipe.seed]
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:24]
    return storage.join(cached, f"{'+'.join(recipe.descriptors)}-{digest}")
