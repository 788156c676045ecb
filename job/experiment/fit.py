"""Learning: described training pictures and a recipe become fitted stages and encoded pictures.

Nothing here knows a console, a folder or a clock of its own: steps are told to the clock that the caller brings, and
what was learned is returned. `fit` may be called again and again on descriptors that were extracted once.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from job.columns import ragged
from job.errors import UserError
from job.experiment.clock import Clock
from job.experiment.extract import Extracted, extractor, originals
from job.experiment.recipe import Recipe
from job.learn.encodings import ENCODINGS
from job.model.chain import vectors
from job.report.text import PREVIEW_ROWS

if TYPE_CHECKING:
    from pyspark.ml import PipelineModel
    from pyspark.sql import DataFrame
    from pyspark.sql.types import DataType

    from job.stages import (
        CategoryClassifierModel,
        CategoryIndexer,
        DescriptorExtractor,
        PrincipalComponentsModel,
        VisualVocabularyModel,
    )
    from job.stages.scaler import BlockScalerModel

# Tables of up to this many cells are gathered in the driver once they are made: what follows is then numpy on one
# table, without a job. Larger ones stay on the executors, which write them as Parquet.
MOST_CELLS = 20_000_000
# Counts of words are mostly zeros. Where a table has more cells than that, its other values are gathered, as long as
# there are not more of them than this (8 bytes each).
MOST_VALUES = 64_000_000
# A pass over the descriptors of a large set has a task for every so many pictures, and for every so many bytes that it
# makes of them: what a task makes is kept as a whole, in memory or on disk, and read back as a whole.
_PICTURES_A_TASK = 20_000
_BYTES_A_TASK = 32 << 20


class TooManyWordsError(UserError):
    """A block can't learn so many words. `reason` says why, without a setting that is the way out."""

    def __init__(self, words: int, reason: str) -> None:
        self.reason = reason.rstrip(".")
        super().__init__(f"--words {words} is too many: {self.reason}; lower --words or add pictures.")


@dataclass(frozen=True)
class Matrix:
    """Rows of pictures in the driver, sorted by `ima`, and by `copy` where there are copies.

    Attributes
    ----------
    rows
        Their columns `ima, cat, ...`.
    values
        A vector of each: an array of shape (n, d), or a sparse matrix of scipy.

    """

    rows: pa.Table
    values: Any

    def wide(self) -> pa.Table:
        """Both in one table; the columns of the vectors are named 0, 1, ..."""
        columns = np.ascontiguousarray(self.values.T)
        return pa.Table.from_arrays(
            [*self.rows.columns, *(pa.array(column) for column in columns)],
            [*self.rows.column_names, *map(str, range(len(columns)))],
        )

    def originals(self) -> "Matrix":
        """The rows that are no copies, without the column that says so."""
        if "copy" not in self.rows.column_names:
            return self
        rows = np.flatnonzero(self.rows["copy"].to_numpy() == 0)
        return Matrix(self.rows.take(pa.array(rows)).drop_columns(["copy"]), self.values[rows])

    def first(self, count: int = PREVIEW_ROWS, columns: int | None = None) -> "Matrix":
        """The first rows, and the first columns of their vectors."""
        return Matrix(self.rows.slice(0, count), self.values[:count, :columns])


@dataclass(frozen=True)
class Encoded:
    """A split as vectors.

    Attributes
    ----------
    described
        Number of pictures.
    bags
        Frame `ima, cat` and the column of each block (`Fitted.bag_columns`), kept by the executors; vectors are bytes
        there, which `Fitted.blocks_of` reads.
    bag_matrix
        The same in the driver; None where that would be too large.
    sparse
        Where it would, their rows as a sparse matrix in the driver; None where there would be too many values, or
        most are not 0.
    features
        `ima, cat, label` and the feature vector in the driver; None where that would be too large.
    looks
        `ima, cat, look` of the pictures in the driver, where they came along with the bags.

    """

    described: int
    bags: "DataFrame"
    bag_matrix: Matrix | None
    sparse: Matrix | None
    features: Matrix | None
    looks: pa.Table | None = None

    @property
    def gathered(self) -> Matrix | None:
        """The vectors in the driver, as an array or a sparse matrix; None where they are on the executors only."""
        return self.bag_matrix or self.sparse


@dataclass(frozen=True)
class Fitted:
    """What was learned from the training pictures.

    Attributes
    ----------
    recipe
        The plan.
    categories
        Names of the labels 0, 1, ..., alphabetical.
    extractor, encoders, scaler, reducer, indexer, classifier
        The fitted stages in their order: `encoders` has one for each block; `scaler`, `reducer` and `classifier` are
        None where the recipe has none.
    train
        The training pictures as vectors.

    """

    recipe: Recipe
    categories: tuple[str, ...]
    extractor: "DescriptorExtractor"
    encoders: tuple["VisualVocabularyModel", ...]
    scaler: "BlockScalerModel | None"
    reducer: "PrincipalComponentsModel | None"
    indexer: "CategoryIndexer"
    classifier: "CategoryClassifierModel | None"
    train: Encoded

    @property
    def bag_columns(self) -> list[str]:
        """Names of the blocks' columns."""
        return [encoder.getOutputCol() for encoder in self.encoders]

    @property
    def bag_width(self) -> int:
        """Length of all blocks' vectors together."""
        return sum(encoder.width for encoder in self.encoders)

    @property
    def width(self) -> int:
        """Length of the feature vector."""
        return self.recipe.components or self.bag_width

    def stages(self) -> list[Any]:
        """All fitted stages, in their order."""
        found = [self.extractor, *self.encoders, self.scaler, self.reducer, self.indexer, self.classifier]
        return [stage for stage in found if stage is not None]

    def pipeline(self) -> "PipelineModel":
        """The fitted stages as one model of Spark ML."""
        from pyspark.ml import PipelineModel

        return PipelineModel(stages=self.stages())

    def blocks_of(self) -> "Callable[[pa.RecordBatch | pa.Table], list[NDArray[Any]]]":
        """What reads the vectors of each block, int32 or float32 (n, width of the block), of bags."""
        from job.stages.vocabulary import blocks_of

        return blocks_of(self.encoders)

    def vectors_of(self) -> "Callable[[pa.RecordBatch], NDArray[np.float64]]":
        """What makes feature vectors (n, width) of a batch of bags, in a worker."""
        blocks = self.blocks_of()
        scaling = None if self.scaler is None else self.scaler.fitted
        projection = None if self.reducer is None else self.reducer.projection

        def made(batch: pa.RecordBatch) -> NDArray[np.float64]:
            return vectors(blocks(batch), scaling, projection)

        return made

    def labelled(
        self, bags: "DataFrame", name: str, kind: "DataType", column_of: "Callable[[NDArray[np.float64]], pa.Array]"
    ) -> "DataFrame":
        """A frame `ima, cat, label` of bags, with a column `name` of this `kind` that the executors make of the feature
        vectors (n, width) of each batch."""
        from job.stages.base import append_columns

        made = self.vectors_of()
        frame = append_columns(
            bags, self.bag_columns, {name: kind}, lambda batch: [column_of(made(batch))], keep=("ima", "cat")
        )
        return self.indexer.transform(frame)


def fit(
    train: Extracted,
    recipe: Recipe,
    *,
    cores: int,
    clock: Clock,
    encoders: tuple["VisualVocabularyModel", ...] | None = None,
) -> Fitted:
    """Learns all that the recipe asks for from the described training pictures.

    Parameters
    ----------
    train
        The described pictures.
    recipe
        The plan.
    cores
        Cores that run tasks.
    clock
        Is told each step: `fit_vocabulary`, `assign_words`, `bag_of_words`, `reduce_dimensions`, `fit_classifier`.
    encoders
        What the blocks have learned already; None: they learn from these pictures.

    Raises
    ------
    UserError
        There are too few descriptors for the words that were asked for.

    """
    from job.stages import CategoryIndexer

    categories = tuple(train.images.categories())
    encoders = _learn_encoders(train, recipe, cores, clock) if encoders is None else encoders
    begun = Fitted(
        recipe=recipe,
        categories=categories,
        extractor=extractor(recipe),
        encoders=encoders,
        scaler=None,
        reducer=None,
        indexer=CategoryIndexer(categories=list(categories)),
        classifier=None,
        train=Encoded(train.described, train.frame, None, None, None),
    )
    counted = count_words(begun, train, cores=cores, clock=clock)
    reduced = _reduce(replace(begun, train=counted), train, clock)
    return reduced if recipe.classifier is None else replace(reduced, classifier=_classify(reduced, train, clock))


def encode(fitted: Fitted, extracted: Extracted, *, cores: int, clock: Clock) -> Encoded:
    """The pictures of another split as vectors, by what was learned from the training pictures."""
    counted = count_words(fitted, extracted, cores=cores, clock=clock)
    with clock.operation("reduce_dimensions", extracted.images.split, extracted.frame.sparkSession) as finding:
        done = replace(counted, features=_features(fitted, counted))
        _say_reduced(fitted, done, finding)
    return done


def few_tasks(usable: "DataFrame", pictures: int, cores: int, size: int = 0) -> "DataFrame":
    """So many described pictures, for a pass over their descriptors, which is short: in one task a core, or one for
    every 20,000 pictures of a large set, or for every 32 MiB of the `size` bytes that are made of them."""
    return usable.coalesce(max(cores, pictures // _PICTURES_A_TASK, size // _BYTES_A_TASK))


def _learn_encoders(train: Extracted, recipe: Recipe, cores: int, clock: Clock) -> tuple["VisualVocabularyModel", ...]:
    found: list[VisualVocabularyModel] = []
    with clock.operation("fit_vocabulary", train.images.split, train.frame.sparkSession) as finding:
        found += [learn_encoder(train, recipe, place, cores) for place in range(len(recipe.blocks))]
        facts: dict[str, Any] = {"words": "+".join(str(block.words) for block in recipe.blocks if block.learns) or 0}
        words = found[0].codebook.arrays.get("words")
        if len(found) == 1 and words is not None:
            own = found[0].codebook.facts
            facts = {
                "words": recipe.blocks[0].words,
                "trained_on": own["descriptors"],
                "iterations": own["iterations"],
                "inertia": round(own["inertia"], 1),
            }
            finding.preview = pa.table({str(d): words[:PREVIEW_ROWS, d] for d in range(words.shape[1])})
        finding.facts = facts
    return tuple(found)


def learn_encoder(train: Extracted, recipe: Recipe, place: int, cores: int) -> "VisualVocabularyModel":
    """What the block at that place learns."""
    from job.stages import VisualVocabulary

    block = recipe.blocks[place]
    total = train.rows[block.descriptor]
    estimator = VisualVocabulary(
        k=block.words,
        descriptor=block.descriptor,
        encoding=block.encoding,
        sampleSize=recipe.sample,
        initMode=recipe.start,
        tolerance=recipe.tolerance,
        maxIter=recipe.max_iterations,
        seed=recipe.seed,
        inputCol=train.columns[block.descriptor],
        outputCol="bag" if len(recipe.blocks) == 1 else f"bag_{place}",
    )
    wanted = min(estimator.sample_size() or total, total)
    drawn = train.drawn.get(block.descriptor)
    try:
        if drawn is not None and len(drawn) >= wanted:
            return estimator.fit_drawn(drawn[:wanted])
        return estimator.fit_counted(originals(few_tasks(train.usable(), train.described, cores)), total)
    except ValueError as error:
        raise TooManyWordsError(block.words, str(error)) from error


def count_words(fitted: Fitted, extracted: Extracted, *, cores: int, clock: Clock) -> Encoded:
    """The bags of a split, in the driver where they are small enough; told as `assign_words` and `bag_of_words`."""
    from job.stages.base import materialise
    from job.stages.vocabulary import encoded_as_bytes

    split, width = extracted.images.split, fitted.bag_width
    copied = ["copy"] if "copy" in extracted.frame.columns else []
    count = extracted.described + extracted.copies
    small = count * width <= MOST_CELLS
    spark, pictures = extracted.frame.sparkSession, extracted.described if small else None
    with clock.operation("assign_words", split, spark, pictures=pictures) as finding:
        frame = few_tasks(extracted.usable(), extracted.described, cores, 4 * count * width)
        seen = ["look"] if small and "look" in extracted.frame.columns else []
        bags = encoded_as_bytes(frame, fitted.encoders, keep=("ima", "cat", *copied, *seen)).persist()
        sparse = None
        if small:
            table = bags.toArrow()
        elif not copied and _countable(fitted) and extracted.descriptors <= MOST_VALUES:
            sparse = _gathered_sparse(bags, fitted)
        else:  # passes over the rows, so that the bags are made now and kept
            materialise(bags)
        finding.facts = lambda tasks: {"partitions": tasks.partitions, "descriptors": extracted.descriptors}
    matrix = looks = None
    with clock.operation("bag_of_words", split) as finding:
        if small:
            table = table.sort_by([(name, "ascending") for name in ("ima", *copied)])
            if seen:
                own = table.filter(pc.equal(table["copy"], 0)) if copied else table
                looks, table = own.select(["ima", "cat", "look"]), table.drop_columns(["look"])
            parts = fitted.blocks_of()(table)
            matrix = Matrix(table.drop_columns(fitted.bag_columns), parts[0] if len(parts) == 1 else np.hstack(parts))
            finding.preview = matrix.originals().first().wide()
        finding.facts = {"rows": extracted.described, "columns": 2 + width}
    return Encoded(extracted.described, bags, matrix, sparse, None, looks)


def _countable(fitted: Fitted) -> bool:
    """Whether all blocks are counts, of which few are not 0."""
    return all(np.issubdtype(ENCODINGS.get(block.encoding).dtype, np.integer) for block in fitted.recipe.blocks)


def _gathered_sparse(bags: "DataFrame", fitted: Fitted) -> Matrix:
    """Bags of counts in the driver: `ima, cat`, and a sparse matrix of scipy, int32 (n, width)."""
    from scipy.sparse import csr_array

    blocks = fitted.blocks_of()

    def work(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            if batch.num_rows:
                rows = np.hstack(blocks(batch))
                row, column = np.nonzero(rows)
                counts = np.bincount(row, minlength=batch.num_rows).astype(np.int64)
                parts = [ragged(column.astype(np.int32), counts), ragged(rows[row, column], counts)]
                yield pa.RecordBatch.from_arrays([batch["ima"], batch["cat"], *parts], ["ima", "cat", "place", "count"])

    found = bags.mapInArrow(work, "ima string, cat string, place array<int>, count array<int>").toArrow().sort_by("ima")
    places, counts = (found[name].combine_chunks() for name in ("place", "count"))
    ends = np.concatenate([[0], np.cumsum(np.asarray(places.value_lengths()), dtype=np.int64)])
    values = csr_array(
        (np.asarray(counts.flatten()), np.asarray(places.flatten()), ends), shape=(found.num_rows, fitted.bag_width)
    )
    return Matrix(found.select(["ima", "cat"]), values)


def _reduce(fitted: Fitted, train: Extracted, clock: Clock) -> Fitted:
    """The same with scaler, reducer and features."""
    from job.stages import PrincipalComponents

    recipe, counted = fitted.recipe, fitted.train
    with clock.operation("reduce_dimensions", train.images.split, train.frame.sparkSession) as finding:
        scaler = reducer = None
        frame, values = counted.bags, None if counted.gathered is None else counted.gathered.values
        columns, blocks = fitted.bag_columns, fitted.blocks_of()
        column = columns[0]
        if recipe.scaled or len(recipe.blocks) > 1 or not recipe.components:
            if values is not None and not isinstance(values, np.ndarray):
                values = None  # several blocks of counts: they are scaled on the executors
            from job.stages.scaler import BlockScaler

            column = "blocks" if recipe.components else "features"
            estimator = BlockScaler(inputCols=columns, outputCol=column, scaled=recipe.scaled, weights=recipe.weights)
            if values is None:
                scaler = estimator.fit_batches(frame, columns, blocks)
            else:
                scaler = estimator.fit_arrays(values, [encoder.width for encoder in fitted.encoders])
                # `_features` scales once more: kept, these would be as large as all else in the driver
                values = scaler.transform_arrays(values) if recipe.components else values
        if recipe.components:
            pca = PrincipalComponents(k=recipe.components, inputCol=column)
            if values is None:
                made = replace(fitted, scaler=scaler).vectors_of() if scaler else lambda batch: np.hstack(blocks(batch))
                reducer = pca.fit_batches(frame, columns, made, fitted.bag_width)
            else:
                reducer = pca.fit_arrays(values)
        found = replace(fitted, scaler=scaler, reducer=reducer)
        done = replace(counted, features=_features(found, counted))
        _say_reduced(found, done, finding)
    return replace(found, train=done)


def _features(fitted: Fitted, counted: Encoded) -> Matrix | None:
    """`ima, cat, label` and the feature vectors, in the driver; None where that would be too large."""
    if counted.gathered is None or counted.gathered.rows.num_rows * fitted.width > MOST_CELLS:
        return None
    rows, values = counted.gathered.rows, counted.gathered.values
    if fitted.scaler is not None and not isinstance(values, np.ndarray):
        return None
    for stage in (fitted.scaler, fitted.reducer):
        values = values if stage is None else stage.transform_arrays(values)
    labels = np.searchsorted(np.array(fitted.categories), np.array(rows["cat"].to_pylist())).astype(np.float64)
    return Matrix(rows.append_column("label", pa.array(labels)), values)


def _say_reduced(fitted: Fitted, done: Encoded, finding: Any) -> None:
    finding.facts = {"rows": done.described, "components": fitted.width}
    if done.features is not None:
        finding.preview = done.features.originals().first().wide()


def _classify(fitted: Fitted, train: Extracted, clock: Clock) -> "CategoryClassifierModel":
    from pyspark.sql import functions as F

    from job.stages import CategoryClassifier

    recipe = fitted.recipe
    assert recipe.classifier is not None
    with clock.operation("fit_classifier", train.images.split, train.frame.sparkSession) as finding:
        estimator = CategoryClassifier(
            kind=recipe.classifier, seed=recipe.seed, categories=list(fitted.categories), calibrated=True
        )
        known = fitted.train.features
        if known is not None:
            labels, names = known.rows["label"].to_numpy().astype(np.int64), known.rows["ima"].to_pylist()
            weights = copied = None
            if recipe.copies:
                copied = known.rows["copy"].to_numpy() > 0
                weights = np.where(copied, _weights(labels, copied, len(fitted.categories))[labels], 1.0)
            model = estimator.fit_arrays(known.values, labels, names=names, weights=weights, copies=copied)
        elif estimator.learns_from_sums():
            estimator = estimator.copy({estimator.weightCol: "weight"})
            bags, weight = fitted.indexer.transform(fitted.train.bags), F.lit(1.0)
            if recipe.copies:
                rows = bags.select("label", "copy").toArrow()
                labels, copied = rows["label"].to_numpy().astype(np.int64), rows["copy"].to_numpy() > 0
                own = F.lit(_weights(labels, copied, len(fitted.categories)).tolist())
                weight = F.when(F.col("copy") == 0, 1.0).otherwise(own[F.col("label").cast("int")])
            model = estimator.fit_batches(
                bags.withColumn("weight", weight), fitted.bag_columns, fitted.vectors_of(), fitted.width
            )
        else:
            bags, made = fitted.indexer.transform(fitted.train.bags), fitted.vectors_of()
            model = estimator.fit_batches(bags, fitted.bag_columns, made, fitted.width, fitted.train.described)
        finding.facts = {"classifier": recipe.classifier, **model.trained.facts}
    return model


def _weights(labels: NDArray[np.int64], copied: NDArray[np.bool_], count: int) -> NDArray[np.float64]:
    """What a changed copy counts for, by its label, so that the copies of a category together weigh as much as its
    pictures: float64 of shape (count,)."""
    pictures, copies = (np.bincount(labels[rows], minlength=count) for rows in (~copied, copied))
    return pictures / np.maximum(copies, 1)
