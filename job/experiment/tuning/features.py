"""Pictures are described once for all candidates, and each block of features that several share is encoded once."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from job import dataset
from job.columns import flatten
from job.engine.crashes import apart_after_a_crash, tried_again
from job.errors import UserError
from job.experiment.clock import Clock
from job.experiment.extract import Extracted, Partitioning, Summary, draws_of, summary, usable
from job.experiment.fit import few_tasks, learn_encoder
from job.experiment.recipe import Block, Recipe
from job.extraction import Extraction
from job.learn import sampling
from job.learn.encodings import ENCODINGS
from job.learn.encodings.base import Codebook
from job.vision.descriptors import DESCRIPTORS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from job.stages import VisualVocabularyModel

# Descriptors by whose histograms near-duplicates are found, the best first.
_HISTOGRAMS = ("soft-hsv", "hsv")
# Bytes of vectors that one job brings to the driver, which also hold them in the JVM on their way.
_JOB_BYTES = 96 << 20

Key = tuple[Any, ...]
"""What makes two blocks of features the same."""


@dataclass(frozen=True)
class Union:
    """What all candidates that see backgrounds alike want of a picture.

    Attributes
    ----------
    mask
        Whether the background is left out.
    descriptors
        Names of the descriptors, each once.
    copies
        Levels of the changed copies, each as often as one candidate has it.
    on_copies
        Which of the descriptors a copy is described by.
    max_bytes
        Pictures of more bytes are not read.

    """

    mask: bool
    descriptors: tuple[str, ...]
    copies: tuple[str, ...]
    on_copies: tuple[bool, ...]
    max_bytes: int

    @classmethod
    def of(cls, recipes: Sequence[Recipe]) -> "Union":
        """The union of these recipes."""
        names = tuple(dict.fromkeys(name for recipe in recipes for name in recipe.descriptors))
        copied = {name for recipe in recipes if recipe.copies for name in recipe.descriptors}
        levels: list[str] = []
        # longest first, so that the numbers of its copies, on which their changes depend, are those of a run
        for recipe in sorted(recipes, key=lambda recipe: -len(recipe.copies)):
            for level in dict.fromkeys(recipe.copies):
                levels += [level] * (recipe.copies.count(level) - levels.count(level))
        return cls(
            recipes[0].mask,
            names,
            tuple(levels),
            tuple(name in copied for name in names),
            max(recipe.max_bytes for recipe in recipes),
        )

    def numbers(self, recipe: Recipe) -> tuple[int, ...]:
        """The numbers of a recipe's own copies among those of the union."""
        free = list(enumerate(self.copies, start=1))
        found = []
        for level in recipe.copies:
            number = next(number for number, own in free if own == level)
            free = [pair for pair in free if pair[0] != number]
            found.append(number)
        return tuple(found)

    @property
    def copied(self) -> set[str]:
        """The descriptors that describe copies."""
        return (
            {name for name, own in zip(self.descriptors, self.on_copies, strict=True) if own} if self.copies else set()
        )

    def column(self, name: str) -> str:
        """The packed column of a descriptor."""
        return f"descriptors_{name}"


@dataclass(frozen=True)
class Described:
    """Pictures that were described once: what they wanted, and how they came back."""

    union: Union
    extracted: Extracted


def key_of(recipe: Recipe, block: Block) -> Key:
    """Of equal blocks of different recipes the same."""
    if not block.learns:
        return (recipe.mask, block.descriptor, block.encoding)
    learned = (recipe.sample, recipe.start, recipe.tolerance, recipe.max_iterations, recipe.seed)
    return (recipe.mask, block.descriptor, block.encoding, block.words, *learned)


def describe(
    spark: "SparkSession",
    images: dataset.Images,
    union: Union,
    recipes: Sequence[Recipe],
    partitioning: Partitioning,
    clock: Clock,
    *,
    seed: int,
    disturbance: str | None = None,
) -> Described:
    """Reads and describes each picture once, and draws on the way what words are learned from.

    `images.table` has a column `rung`, the number of the rung in which a picture comes in. The frame `ima, cat, rung`,
    packed columns, `keypoints, reason` and, with copies, `copy` is kept by the executors.
    """
    from pyspark.sql import functions as F
    from pyspark.sql.types import BinaryType, IntegerType, StringType, StructType

    copies = () if disturbance else union.copies
    columns = {name: union.column(name) for name in union.descriptors}
    kept = ("ima", "cat", "rung")
    schema = StructType().add("ima", StringType()).add("cat", StringType()).add("rung", IntegerType())
    for column in columns.values():
        schema = schema.add(column, BinaryType())
    schema = schema.add("keypoints", IntegerType()).add("reason", StringType())
    schema = schema.add("copy", IntegerType()) if copies else schema
    extraction = Extraction(
        descriptors=tuple(DESCRIPTORS.get(name) for name in union.descriptors),
        kept=kept,
        names=tuple(schema.names),
        max_bytes=union.max_bytes,
        mask=union.mask,
        disturbance=disturbance,
        copies=copies,
        on_copies=union.on_copies,
        seed=seed,
    )

    with clock.operation("extract_descriptors", disturbance or "train", spark, pictures=len(images)) as finding:
        count = partitioning.of(images)
        parts = pa.Table.from_batches(dataset.shards(images, count, seed, partitioning.cores))
        addresses = spark.createDataFrame(parts.select(list(kept))).select(F.lit(images.root).alias("root"), *kept)
        draws: dict[str, sampling.Draw] = {}
        for recipe in () if disturbance else recipes:
            for name, draw in draws_of(recipe, images, count, partitioning.cores).items():
                if name not in draws or draw.wanted > draws[name].wanted:
                    draws[name] = draw

        def described(*, apart: bool) -> "tuple[DataFrame, Summary]":
            def work(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
                again = tried_again()
                for batch in batches:
                    yield from extraction.describe(batch, apart=apart or again)

            frame = addresses.mapInArrow(work, schema).persist()
            try:
                return frame, summary(frame, columns, draws)
            except BaseException:
                frame.unpersist()
                raise

        frame, found = apart_after_a_crash(described)
        finding.facts = {
            "descriptor": "+".join(columns),
            "pictures": len(images),
            "copies": len(copies),
            "described": found.described,
            "rejected": found.rejected.num_rows,
        }
    tasks = clock.steps[-1].tasks.partitions
    extracted = Extracted(images, frame, columns, found.described, found.rows, found.rejected, tasks, dict(found.drawn))
    if found.described + found.rejected.num_rows != len(images):
        raise UserError(
            f"Of {len(images)} pictures {found.described + found.rejected.num_rows} came back from extraction: the "
            "result would be wrong; please report this."
        )
    return Described(union, extracted)


def histograms(described: Described, names: Sequence[str]) -> NDArray[Any]:
    """Histograms of these pictures by which near-duplicates are found, (n, d)."""
    union = described.union
    own = [name for name in union.descriptors if not DESCRIPTORS.get(name).local]
    name = next((name for name in _HISTOGRAMS if name in own), own[0])
    frame = usable(described.extracted.frame)
    frame = frame.where("copy = 0") if union.copies else frame
    table = frame.select("ima", union.column(name)).toArrow()
    spec = DESCRIPTORS.get(name)
    rows = np.concatenate([spec.unpack(value.as_buffer()) for value in table[union.column(name)]])
    places = {ima: row for row, ima in enumerate(table["ima"].to_pylist())}
    return rows[[places[ima] for ima in names]]


# ---- words


@dataclass(frozen=True)
class Coder:
    """A block of features as it is encoded: its key and parts, what was learned for it and in how many seconds;
    `copied` where some candidate needs it of copies."""

    key: Key
    block: Block
    model: "VisualVocabularyModel"
    seconds: float
    copied: bool

    @property
    def codebook(self) -> Codebook:
        """What was learned."""
        return self.model.codebook

    @property
    def width(self) -> int:
        """Length of a vector."""
        return self.model.width

    @property
    def itemsize(self) -> int:
        """Bytes of a value."""
        return ENCODINGS.get(self.block.encoding).dtype.itemsize


def learn_words(
    described: Described,
    recipes: Sequence[Recipe],
    cores: int,
    clock: Clock,
    missing: Collection[Key],
    *,
    always: bool = False,
) -> tuple[dict[Key, Coder], dict[Key, str]]:
    """What each block with a key that is `missing` learns, once for all recipes that share it, from the draw of all
    described pictures: without their labels, and for all folds. Also, by their keys, why blocks could not be learned.

    With `always`, blocks are encoded of copies as far as these are described, though no recipe needs it yet.
    """
    union = described.union
    wanted: dict[Key, tuple[Recipe, int]] = {}
    copied: set[Key] = set()
    for recipe in recipes:
        for place, block in enumerate(recipe.blocks):
            if key_of(recipe, block) in missing:
                wanted.setdefault(key_of(recipe, block), (recipe, place))
            if recipe.copies or (always and block.descriptor in union.copied):
                copied.add(key_of(recipe, block))
    found: dict[Key, Coder] = {}
    failed: dict[Key, str] = {}
    extracted = described.extracted
    with clock.operation("fit_vocabulary", "train", extracted.frame.sparkSession) as finding:
        with ThreadPoolExecutor(max(1, min(cores, len(wanted)))) as pool:
            learned = pool.map(lambda each: _learned(extracted, each[0], each[1], cores), wanted.values())
            for (key, (recipe, place)), own in zip(wanted.items(), learned, strict=True):
                if isinstance(own, str):
                    failed[key] = own
                else:
                    found[key] = Coder(key, recipe.blocks[place], *own, key in copied)
        finding.facts = {"vocabularies": sum(coder.block.learns for coder in found.values())}
    return found, failed


def _learned(
    extracted: Extracted, recipe: Recipe, place: int, cores: int
) -> "tuple[VisualVocabularyModel, float] | str":
    """What a block learns and in how many seconds, or why it can't."""
    begun, block = perf_counter(), recipe.blocks[place]
    count = extracted.rows[block.descriptor]
    if DESCRIPTORS.get(block.descriptor).local and count < block.words:
        return (
            f"--words {block.words} is more than the {count} descriptors of the training pictures: lower --words or "
            "add pictures."
        )
    try:
        return learn_encoder(extracted, recipe, place, cores), perf_counter() - begun
    except (UserError, ValueError) as error:
        return str(error)


def placed(
    models: "Sequence[VisualVocabularyModel]", columns: Mapping[str, str]
) -> "tuple[VisualVocabularyModel, ...]":
    """What the blocks of a recipe have learned, in the places that `job.experiment.fit` gives them; `columns` are the
    packed columns by descriptor."""
    return tuple(
        model.copy(
            {
                model.inputCol: columns[model.getDescriptor()],
                model.outputCol: f"bag_{place}" if len(models) > 1 else "bag",
            }
        )
        for place, model in enumerate(models)
    )


# ---- vectors


def variant_of(copy: int) -> str:
    """The name of a copy's variant."""
    return f"#{copy}" if copy else ""


def encode(
    described: Described,
    coders: Sequence[Coder],
    names: Mapping[str, int],
    cores: int,
    rung: int | None,
) -> dict[tuple[Key, str], NDArray[Any]]:
    """The vectors of the described pictures of a rung (None: of all), by block and copy, in the order of `names`, which
    maps each picture's name to its place."""
    frame = usable(described.extracted.frame)
    frame = frame if rung is None else frame.where(f"rung = {rung}")
    frame = few_tasks(frame, len(names), cores)
    copies = len(described.union.copies) if "copy" in frame.columns else 0
    found: dict[tuple[Key, str], NDArray[Any]] = {}
    for part in _parts(coders, len(names), copies):
        found |= _encode(frame, described.union, part, names, copies)
    return found


def _parts(coders: Sequence[Coder], count: int, copies: int) -> list[list[Coder]]:
    """The blocks in parts, each of which a job brings to the driver."""
    parts: list[list[Coder]] = [[]]
    filled = 0
    for coder in coders:
        size = count * coder.width * coder.itemsize * (1 + copies * coder.copied)
        if parts[-1] and filled + size > _JOB_BYTES:
            parts.append([])
            filled = 0
        parts[-1].append(coder)
        filled += size
    return parts


def _encode(
    frame: "DataFrame", union: Union, coders: Sequence[Coder], names: Mapping[str, int], copies: int
) -> dict[tuple[Key, str], NDArray[Any]]:
    own = [
        (
            union.column(coder.block.descriptor),
            DESCRIPTORS.get(coder.block.descriptor),
            ENCODINGS.get(coder.block.encoding),
            coder.codebook,
            coder.copied,
        )
        for coder in coders
    ]
    wanted = dict.fromkeys(column for column, *_ in own)
    outputs = [f"block_{place}" for place in range(len(own))]

    def work(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            if not batch.num_rows:
                continue
            number = batch["copy"].to_numpy() if copies else np.zeros(batch.num_rows, np.int32)
            originals = pa.array(np.flatnonzero(number == 0))
            columns = []
            for column, spec, encoding, codebook, copied in own:
                packed = batch[column] if copied or not copies else batch[column].take(originals)
                stacked, pictures = flatten(packed, spec.dtype, spec.values)
                values = encoding.encode(spec.unpack(stacked), pictures, len(packed), codebook)
                rows: list[bytes | None] = [None] * batch.num_rows
                for place, row in zip(
                    range(batch.num_rows) if copied or not copies else originals.to_pylist(), values, strict=True
                ):
                    rows[place] = row.tobytes()
                columns.append(pa.array(rows, pa.binary()))
            yield pa.RecordBatch.from_arrays(
                [batch["ima"], pa.array(number, pa.int32()), *columns], ["ima", "number", *outputs]
            )

    schema = "ima string, number int, " + ", ".join(f"{name} binary" for name in outputs)
    selected = ["ima", *(["copy"] if copies else []), *wanted]
    table = frame.select(*selected).mapInArrow(work, schema).toArrow()
    place = np.array([names.get(name, -1) for name in table["ima"].to_pylist()], np.int64)
    number = table["number"].to_numpy()
    found = {}
    for output, coder in zip(outputs, coders, strict=True):
        dtype = ENCODINGS.get(coder.block.encoding).dtype
        for copy in range(1 + copies * coder.copied):
            chosen = np.flatnonzero((number == copy) & (place >= 0))
            values = np.zeros((len(names), coder.width), dtype)
            data = b"".join(table[output].take(pa.array(chosen)).to_pylist())
            values[place[chosen]] = np.frombuffer(data, dtype).reshape(len(chosen), coder.width)
            found[coder.key, variant_of(copy)] = values
    return found
