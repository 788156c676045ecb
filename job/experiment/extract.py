"""The pictures of a split, described: counted, checked, and with a draw of descriptors to learn from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from job import dataset
from job.columns import binaries, flatten, numbers, one_list
from job.engine.crashes import apart_after_a_crash
from job.errors import UserError
from job.experiment import cache
from job.experiment.clock import Clock
from job.experiment.recipe import ALL_DESCRIPTORS, Recipe
from job.learn import sampling
from job.learn.encodings import ENCODINGS
from job.report.text import PREVIEW_ROWS
from job.taskfigures import TaskFigures
from job.vision.descriptors import DESCRIPTORS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from job.stages import DescriptorExtractor

# Where all descriptors are wanted, room for this many of each picture is made in the pass that counts them. SIFT finds
# about 31 in a picture of 100 x 100 pixels; where there are more, a pass of its own draws them.
MANY = 100
_NO_DESCRIPTORS = "no_descriptors"


@dataclass(frozen=True)
class Partitioning:
    """How pictures are spread over tasks: `cores` that run tasks, and what was asked for (see
    `dataset.planned_partitions`)."""

    cores: int
    exactly: int | None = None
    least: int = 1

    def of(self, images: dataset.Images) -> int:
        """Number of partitions of these pictures."""
        return dataset.planned_partitions(images, self.cores, exactly=self.exactly, least=self.least)


@dataclass(frozen=True)
class Extracted:
    """The described pictures of a split.

    Attributes
    ----------
    images
        The pictures that were listed.
    frame
        `ima, cat`, a packed column for each descriptor (`columns` names them), `keypoints, reason, look`.
    columns
        Names of the packed columns, by descriptor.
    described
        Number of pictures that have descriptors.
    rows
        Number of rows of each descriptor.
    rejected
        Table `path, reason` of the pictures without descriptors, sorted by path.
    partitions
        Partitions of the frame.
    drawn
        By descriptor the rows that were drawn on the way, packed, in the order of their keys; a descriptor is missing
        where none were asked for, or too few came.
    copies
        Most rows of changed copies in the frame.

    """

    images: dataset.Images
    frame: "DataFrame"
    columns: Mapping[str, str]
    described: int
    rows: Mapping[str, int]
    rejected: pa.Table
    partitions: int
    drawn: Mapping[str, NDArray[Any]]
    copies: int = 0

    @property
    def descriptors(self) -> int:
        """Number of rows of all descriptors."""
        return sum(self.rows.values())

    @property
    def descriptor_bytes(self) -> int:
        """Bytes of all rows."""
        return sum(count * DESCRIPTORS.get(name).bytes for name, count in self.rows.items())

    @property
    def without_descriptors(self) -> int:
        """Number of pictures in which no descriptor found anything."""
        return _without_descriptors(self.rejected)

    def usable(self) -> "DataFrame":
        """The rows of the frame that have descriptors, copies included."""
        return usable(self.frame)

    def originals(self) -> "DataFrame":
        """The rows of the frame that have descriptors, without copies."""
        return originals(usable(self.frame))


def columns_of(recipe: Recipe) -> dict[str, str]:
    """Names of the packed columns, by descriptor: `descriptors` for a single one."""
    names = recipe.descriptors
    return {names[0]: "descriptors"} if len(names) == 1 else {name: f"descriptors_{name}" for name in names}


def extractor(
    recipe: Recipe, *, copies: Sequence[str] = (), disturbance: str | None = None, looks: bool = False
) -> "DescriptorExtractor":
    """The stage that describes pictures as the recipe says, with changed copies, after a disturbance, or with looks."""
    from job.stages import DescriptorExtractor

    columns = columns_of(recipe)
    several = len(columns) > 1
    how = (
        {"descriptors": list(columns), "outputCols": list(columns.values())}
        if several
        else {"descriptor": next(iter(columns)), "outputCol": next(iter(columns.values()))}
    )
    return DescriptorExtractor(
        **how,
        maxBytes=recipe.max_bytes,
        mask=recipe.mask,
        disturbance=disturbance or "",
        copies=list(copies),
        seed=recipe.seed,
        looks=looks,
    )


def extract(
    spark: "SparkSession",
    images: dataset.Images,
    recipe: Recipe,
    partitioning: Partitioning,
    *,
    clock: Clock,
    cached: str | None = None,
    training: bool = False,
    disturbance: str | None = None,
) -> Extracted:
    """Describes and counts, in one pass.

    Training pictures (`training`) get the recipe's copies, and what its blocks learn from is drawn on the way. With a
    `disturbance` it is done to each picture first. `cached` is the address of a cache of descriptors. The frame is kept
    in memory and on disk by the executors.

    Raises
    ------
    UserError
        Pictures came back twice or not at all. That none has descriptors is for the caller to judge.

    """
    split, columns = images.split, columns_of(recipe)
    waited = spark.sparkContext.accumulator(0.0)
    found: Summary | None = None
    known = 0

    def facts(tasks: TaskFigures) -> dict[str, Any]:
        assert found is not None
        without = _without_descriptors(found.rejected)
        return {
            "descriptor": "+".join(columns),
            "partitions": tasks.partitions,
            "pictures": len(images),
            "described": found.described,
            "without_descriptors": without,
            "rejected": found.rejected.num_rows - without,
            "descriptors": sum(found.rows.values()),
            **({"from_cache": known} if cached else {}),
        }

    with clock.operation("extract_descriptors", split, spark, pictures=len(images)) as finding:
        count = partitioning.of(images)
        copied = dataset.first_of_each(images, recipe.copied) if training and recipe.copies else None
        draws = draws_of(recipe, images, count, partitioning.cores) if training else {}

        def described(*, apart: bool) -> "tuple[DataFrame, int, Summary]":
            stage = extractor(recipe, copies=recipe.copies if training else (), disturbance=disturbance, looks=True)
            stage.waited, stage.apart = waited, apart
            frame, known = cache.described(spark, stage, images, recipe, count, partitioning.cores, cached, copied)
            try:
                return frame, known, summary(frame, columns, draws)
            except BaseException:
                frame.unpersist()
                raise

        frame, known, found = apart_after_a_crash(described)
        finding.facts, finding.preview, finding.waited = facts, found.first, lambda: waited.value
    done = Extracted(
        images,
        frame,
        columns,
        found.described,
        found.rows,
        found.rejected,
        clock.steps[-1].tasks.partitions,
        found.drawn,
        0 if copied is None else int(copied.sum()) * len(recipe.copies),
    )
    came = done.described + done.rejected.num_rows
    if came != len(images):
        raise UserError(
            f"Of {len(images)} {split} pictures {came} came back from extraction: the result would be wrong; please "
            "report this."
        )
    return done


def draws_of(recipe: Recipe, images: dataset.Images, tasks: int, cores: int) -> dict[str, sampling.Draw]:
    """By descriptor the draw that suits all of the recipe's blocks, where it is little enough to come with the counts
    of extraction."""
    from job.stages.vocabulary import ONE_PLACE

    largest = max(2.0, dataset.largest_share(images, tasks, cores))
    found: dict[str, sampling.Draw] = {}
    for block in recipe.blocks:
        spec, encoding = DESCRIPTORS.get(block.descriptor), ENCODINGS.get(block.encoding)
        if not encoding.learns:
            continue
        wanted = recipe.sample or encoding.sample_size(block.words, spec.bytes)
        if recipe.sample == ALL_DESCRIPTORS:
            wanted = MANY * len(images)
        if wanted <= ONE_PLACE and wanted > (found[spec.name].wanted if spec.name in found else 0):
            found[spec.name] = sampling.Draw.of(wanted, tasks, recipe.seed, spec.dtype, spec.values, largest)
    return found


def usable(frame: "DataFrame") -> "DataFrame":
    """The rows of a frame of pictures that have descriptors."""
    from pyspark.sql import functions as F

    return frame.where(F.col("reason").isNull())


def originals(frame: "DataFrame") -> "DataFrame":
    """The rows of a frame that are no copies."""
    return frame.where("copy = 0") if "copy" in frame.columns else frame


@dataclass(frozen=True)
class Summary:
    """What the driver learns of described pictures: the table `path, reason` of those that were not, sorted; how many
    pictures and how many rows of each descriptor there are; the first pictures of the first partition, `ima, cat,
    keypoints`; and what was drawn of each descriptor."""

    rejected: pa.Table
    described: int
    rows: Mapping[str, int]
    first: pa.Table
    drawn: Mapping[str, NDArray[Any]]


def _without_descriptors(rejected: pa.Table) -> int:
    """How many of the rejected pictures have no descriptors, though they could be read."""
    return int(pc.sum(pc.equal(rejected["reason"], _NO_DESCRIPTORS)).as_py() or 0)


_TEXT, _NUMBER, _BYTES = pa.string(), pa.int64(), pa.list_(pa.binary())
# Two kinds of row in one schema: a picture fills `ima` to `keypoints`; each task adds one row that fills the rest, its
# lists with a value for each descriptor (`counts`) or each draw (`keys`, `rows`, `seen`).
_FIELDS = pa.schema(
    [
        ("ima", _TEXT),
        ("cat", _TEXT),
        ("reason", _TEXT),
        ("keypoints", _NUMBER),
        ("described", _NUMBER),
        ("counts", pa.list_(_NUMBER)),
        ("keys", _BYTES),
        ("rows", _BYTES),
        ("seen", pa.list_(_NUMBER)),
    ]
)


def summary(frame: "DataFrame", columns: Mapping[str, str], draws: Mapping[str, sampling.Draw]) -> Summary:
    """Describes, counts and draws, in one pass. `columns` are the packed columns by descriptor."""
    from pyspark.sql import functions as F
    from pyspark.sql.pandas.types import from_arrow_schema

    # Lengths are taken by Spark itself, so that packed rows go to Python only where some of them are drawn.
    bytes_of = [(f"bytes of {name}", DESCRIPTORS.get(name).bytes) for name in columns]
    drawn_columns = {columns[name]: draw for name, draw in draws.items()}

    def work(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        from pyspark import TaskContext

        context = TaskContext.get()
        wanted = PREVIEW_ROWS if context and not context.partitionId() else 0
        described, counts = 0, [0] * len(bytes_of)
        lowest = {column: sampling.Lowest(draw) for column, draw in drawn_columns.items()}
        for batch in batches:
            good = pc.is_null(batch["reason"])
            found = batch.filter(good)
            described += found.num_rows
            for place, (column, size) in enumerate(bytes_of):
                counts[place] += (pc.sum(found[column]).as_py() or 0) // size
            for rows in (batch.filter(pc.invert(good)), found.slice(0, wanted)):
                if rows.num_rows:
                    yield _batch({name: rows[name] for name in ("ima", "cat", "reason", "keypoints")}, rows.num_rows)
            wanted = max(0, wanted - found.num_rows)
            for column, part in lowest.items():
                own = drawn_columns[column]
                part.add(found["ima"].to_pylist(), *flatten(found[column], own.dtype, own.values))
        parts = [part.part() for part in lowest.values()]
        yield _batch(
            {
                "described": numbers(np.array([described], np.int64)),
                "counts": one_list(numbers(np.array(counts, np.int64))),
                "keys": one_list(binaries([part.keys.tobytes() for part in parts])),
                "rows": one_list(binaries([part.rows.tobytes() for part in parts])),
                "seen": one_list(numbers(np.array([part.seen for part in parts], np.int64))),
            },
            1,
        )

    lengths = [F.length(columns[name]).alias(f"bytes of {name}") for name in columns]
    wanted: list[Any] = ["ima", "cat", "reason", "keypoints", *drawn_columns, *lengths]
    found = originals(frame).select(*wanted).mapInArrow(work, from_arrow_schema(_FIELDS)).toArrow()
    pictures, tasks = (found.filter(mask) for mask in (pc.is_valid(found["ima"]), pc.is_null(found["ima"])))
    rejected = pictures.filter(pc.is_valid(pictures["reason"])).select(["ima", "reason"])
    counts = np.array(tasks["counts"].to_pylist(), np.int64).reshape(-1, len(columns)).sum(axis=0)
    return Summary(
        rejected.rename_columns(["path", "reason"]).sort_by("path"),
        int(pc.sum(tasks["described"]).as_py() or 0),
        {name: int(count) for name, count in zip(columns, counts, strict=True)},
        pictures.filter(pc.is_null(pictures["reason"])).select(["ima", "cat", "keypoints"]),
        _drawn(draws, tasks),
    )


def _batch(columns: Mapping[str, pa.Array], count: int) -> pa.RecordBatch:
    def column(field: pa.Field) -> pa.Array:
        found = columns.get(field.name)
        if found is None:
            return pa.nulls(count, field.type)
        return found.cast(field.type)

    return pa.RecordBatch.from_arrays([column(field) for field in _FIELDS], schema=_FIELDS)


def _drawn(draws: Mapping[str, sampling.Draw], tasks: pa.Table) -> dict[str, NDArray[Any]]:
    """What all tasks together drew, by descriptor; none where a task had more of the lowest than it may give."""
    found = {}
    for place, (name, draw) in enumerate(draws.items()):
        parts = [
            sampling.Part(
                np.frombuffer(keys[place].as_buffer(), np.uint64),
                np.frombuffer(rows[place].as_buffer(), draw.dtype).reshape(-1, draw.values),
                seen[place].as_py(),
            )
            for keys, rows, seen in zip(tasks["keys"], tasks["rows"], tasks["seen"], strict=True)
        ]
        lowest = draw.lowest(parts)
        if lowest is not None:
            found[name] = lowest
    return found
