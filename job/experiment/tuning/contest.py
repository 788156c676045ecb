"""Candidates that are fitted side by side on vectors that they share: each is one task of Spark."""

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from job import dataset, storage
from job.experiment.clock import Clock
from job.experiment.extract import Extracted, Partitioning, columns_of
from job.experiment.recipe import Recipe
from job.experiment.tuning.features import (
    Coder,
    Described,
    Key,
    Union,
    describe,
    encode,
    key_of,
    learn_words,
    variant_of,
)
from job.experiment.tuning.plan import Pictures, Training
from job.experiment.tuning.trial import Part, Trial
from job.learn import trials
from job.learn.classifiers import CLASSIFIERS
from job.learn.encodings import ENCODINGS
from job.vision import pixels
from job.vision.descriptors import DESCRIPTORS

if TYPE_CHECKING:
    from pyspark import Broadcast
    from pyspark.sql import SparkSession

# Vectors of all pictures and blocks that the driver holds, and each worker its part of.
MOST_BYTES = 3 << 29
# Pictures, and bytes of them, by which the cost of a picture is measured.
_MEASURED, _MEASURED_BYTES = 24, 8 << 20

Done = Callable[[int, Mapping[str, Any] | None, str], None]
"""Is told a candidate's place, what it has found, and where it has found nothing, why."""


class Contest:
    """The pictures of a comparison, described and encoded as far as candidates need them, and candidates at work.

    Parameters
    ----------
    spark
        The session.
    images
        Training pictures, with the column `rung`.
    recipes
        The candidates' recipes; None for one that can't be made.
    partitioning
        How pictures are spread over tasks.
    clock
        Is told the steps.
    seed
        Seed of every draw.

    """

    def __init__(
        self,
        spark: "SparkSession",
        images: dataset.Images,
        recipes: Sequence[Recipe | None],
        partitioning: Partitioning,
        clock: Clock,
        *,
        seed: int,
    ) -> None:
        self._spark, self._images, self._recipes = spark, images, recipes
        self._partitioning, self._clock, self._seed = partitioning, clock, seed
        self.extractions: list[dict[str, Any]] = []
        self.route = "tasks"
        self._described: dict[bool, Described] = {}
        self._coders: dict[Key, Coder] = {}
        self._failed: dict[Key, str] = {}
        # vectors with the executors, by block and variant, a broadcast for each rung so far
        self._sent: dict[tuple[Key, str], dict[int, Broadcast[NDArray[Any]]]] = {}
        self._disturbed: dict[str, dict[int, NDArray[np.intp]]] = {}
        self._bytes = 0
        self._contents: Broadcast[list[bytes]] | None = None

    # ---- pictures

    def describe(self) -> Described:
        """The training pictures, described for all candidates: once, or where some leave backgrounds out and others do
        not, twice. The first of these."""
        if not self._described:
            known = [recipe for recipe in self._recipes if recipe is not None]
            for mask in sorted({recipe.mask for recipe in known}, reverse=True):
                own = [recipe for recipe in known if recipe.mask is mask]
                union = Union.of(own)
                self._described[mask] = self._describe(self._images, union, own)
            for mask, described in self._described.items():
                own = [recipe for recipe in known if recipe.mask is mask]
                coders, failed = learn_words(described, own, self._partitioning.cores, self._clock)
                self._coders |= coders
                self._failed |= failed
        return next(iter(self._described.values()))

    def _describe(
        self, images: dataset.Images, union: Union, recipes: Sequence[Recipe], disturbance: str | None = None
    ) -> Described:
        found = describe(
            self._spark,
            images,
            union,
            recipes,
            self._partitioning,
            self._clock,
            seed=self._seed,
            disturbance=disturbance,
        )
        self.extractions.append(
            {
                "pictures": len(images),
                "descriptors": list(union.descriptors),
                "copies": [] if disturbance else list(union.copies),
                "descriptors_of_copies": []
                if disturbance or not union.copies
                else [name for name, own in zip(union.descriptors, union.on_copies, strict=True) if own],
                "disturbance": disturbance,
                "background": "left out" if union.mask else "kept",
            }
        )
        return found

    def extracted_for(self, recipe: Recipe) -> Extracted | None:
        """The training pictures as `job.experiment.extract` would describe them for this recipe alone; None where its
        copies are others than those that were made, so that they have to be described anew."""
        from pyspark.sql import functions as F

        described = self._described.get(recipe.mask)
        if described is None:
            return None
        union, known = described.union, described.extracted
        numbers = union.numbers(recipe)
        if numbers != tuple(range(1, len(numbers) + 1)):
            return None
        columns = columns_of(recipe)
        frame = known.frame
        if union.copies:
            frame = frame.where(F.col("copy") <= len(numbers))
        packed = [F.col(union.column(name)).alias(column) for name, column in columns.items()]
        copy = ["copy"] if numbers else []
        return replace(
            known,
            images=replace(self._images, table=self._images.table.drop_columns(["rung"])),
            frame=frame.select("ima", "cat", *packed, "keypoints", "reason", *copy),
            columns=columns,
            rows={name: known.rows[name] for name in columns},
            drawn={name: rows for name, rows in known.drawn.items() if name in columns},
        )

    # ---- vectors

    def _send(self, keys: Sequence[Key], pictures: Pictures, rung: int) -> None:
        """Makes sure that the vectors of these blocks are with the executors for all pictures up to this rung."""
        starts = (0, *pictures.rungs)
        for part in range(rung + 1):
            missing = [key for key in keys if part not in self._sent.get((key, ""), {})]
            names = {name: row for row, name in enumerate(pictures.names[starts[part] : starts[part + 1]])}
            if not missing or not names:
                continue
            for mask, described in self._described.items():
                coders = [self._coders[key] for key in missing if key[0] is mask]
                if coders:
                    found = encode(described, coders, names, self._partitioning.cores, part)
                    self._keep(found, part)

    def _keep(self, found: Mapping[tuple[Key, str], NDArray[Any]], part: int) -> None:
        context = self._spark.sparkContext
        for place, values in found.items():
            self._sent.setdefault(place, {})[part] = context.broadcast(values)
            self._bytes += values.nbytes

    def _forget(self, keys: Sequence[Key]) -> None:
        """Lets go of the vectors of all other blocks."""
        for place in [place for place in self._sent if place[0] not in set(keys)]:
            for sent in self._sent.pop(place).values():
                sent.unpersist()

    def _disturb(self, keys: Sequence[Key], pictures: Pictures, rung: int, trainings: Sequence[Training]) -> None:
        """The same of pictures that are scored after a disturbance, described now."""
        wanted: dict[str, set[int]] = {}
        for training in trainings:
            for scored in training.scored:
                if scored.disturbance:
                    wanted.setdefault(scored.disturbance, set()).update(scored.rows.tolist())
        places = {name: row for row, name in enumerate(self._images.table["ima"].to_pylist())}
        for kind, rows in wanted.items():
            if rung in self._disturbed.get(kind, {}):
                continue
            chosen = np.array(sorted(rows), np.intp)
            names = {pictures.names[row]: place for place, row in enumerate(chosen)}
            images = self._images.take(np.array(sorted(places[name] for name in names)))
            for mask, own in self._described.items():
                coders = [self._coders[key] for key in keys if key[0] is mask]
                if not coders:
                    continue
                described_by = {coder.block.descriptor for coder in coders}
                union = replace(
                    own.union,
                    descriptors=tuple(name for name in own.union.descriptors if name in described_by),
                    copies=(),
                    on_copies=(),
                )
                described = self._describe(images, union, (), kind)
                plain = [replace(coder, copied=False) for coder in coders]
                found = encode(described, plain, names, self._partitioning.cores, None)
                self._keep({(key, kind): values for (key, _), values in found.items()}, rung)
                described.extracted.frame.unpersist()
            self._disturbed.setdefault(kind, {})[rung] = chosen

    # ---- candidates

    def compete(
        self,
        pictures: Pictures,
        rung: int,
        trainings: Sequence[Training],
        places: Sequence[int],
        done: Done,
        over: Callable[[], bool],
    ) -> None:
        """Fits these candidates, as many at a time as there are cores, and tells each result; none is begun once
        `over` says so."""
        self.describe()
        able = []
        for place in places:
            problem = self._problem(self._recipe(place))
            if problem:
                done(place, None, problem)
            else:
                able.append(place)
        keys = list(dict.fromkeys(key for place in able for key in self._keys(place)))
        self._forget(keys)
        self._send(keys, pictures, rung)
        self._disturb(keys, pictures, rung, trainings)
        labels = pictures.labels()[: pictures.rungs[rung]]
        with ThreadPoolExecutor(max(1, self._partitioning.cores)) as pool:
            begun = {
                pool.submit(partial(self._one, place, labels, trainings, len(pictures.categories), rung, over)): place
                for place in able
            }
            try:
                for future in as_completed(begun):
                    found = future.result()
                    if found is not None:
                        done(begun[future], found.get("found"), found.get("failed", ""))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _recipe(self, place: int) -> Recipe:
        recipe = self._recipes[place]
        assert recipe is not None
        return recipe

    def _keys(self, place: int) -> list[Key]:
        recipe = self._recipe(place)
        return [key_of(recipe, block) for block in recipe.blocks]

    def _problem(self, recipe: Recipe) -> str:
        """Why the words of a candidate could not be learned; empty where they could."""
        return next(
            (self._failed[key] for block in recipe.blocks if (key := key_of(recipe, block)) in self._failed), ""
        )

    def _one(
        self,
        place: int,
        labels: NDArray[np.int64],
        trainings: Sequence[Training],
        categories: int,
        rung: int,
        over: Callable[[], bool],
    ) -> dict[str, Any] | None:
        """One candidate in a task of its own: `found`, or why it `failed`; None where it was not begun."""
        if over():
            return None
        recipe, keys = self._recipe(place), self._keys(place)
        union = self._described[recipe.mask].union
        copies = tuple(variant_of(number) for number in union.numbers(recipe))
        kinds = sorted(self._disturbed)
        trial = Trial(
            parts=tuple(
                Part(DESCRIPTORS.get(block.descriptor), ENCODINGS.get(block.encoding), self._coders[key].codebook)
                for key, block in zip(keys, recipe.blocks, strict=True)
            ),
            how=trials.How(
                CLASSIFIERS.get(recipe.classifier or ""),
                categories,
                recipe.scaled or len(recipe.blocks) > 1 or not recipe.components,
                recipe.scaled,
                recipe.components,
                recipe.seed,
            ),
            copies=copies,
            mask=recipe.mask,
            max_bytes=recipe.max_bytes,
            labels=labels,
            trainings=tuple(trainings),
            disturbed={kind: self._disturbed[kind][rung] for kind in kinds},
        )
        sent = {
            (number, variant): [sent for part, sent in sorted(self._sent[key, variant].items()) if part <= rung]
            for number, key in enumerate(keys)
            for variant in ("", *copies)
        }
        sent |= {(number, kind): [self._sent[key, kind][rung]] for number, key in enumerate(keys) for kind in kinds}
        try:
            found = json.loads(_in_task(self._spark, trial, sent, self._measured(), f"candidate {place}"))
        except Exception as error:  # noqa: BLE001  (whatever a candidate does, the others go on)
            return {"failed": _sentence(error)}
        if "found" in found:
            found["found"]["words_seconds"] = sum(self._coders[key].seconds for key in dict.fromkeys(keys))
        return dict(found)

    def _measured(self) -> "Broadcast[list[bytes]]":
        """Some pictures, by which the cost of one is measured."""
        if self._contents is None:
            step = max(1, len(self._images) // _MEASURED)
            names = self._images.table["ima"].to_pylist()[::step][:_MEASURED]
            found: list[bytes] = []
            for content in storage.read_many(self._images.root, names, max_bytes=pixels.MAX_BYTES):
                if isinstance(content, bytes) and sum(map(len, found)) + len(content) <= _MEASURED_BYTES:
                    found.append(content)
            self._contents = self._spark.sparkContext.broadcast(found)
        return self._contents


def _in_task(
    spark: "SparkSession",
    trial: Trial,
    sent: "Mapping[tuple[int, str], Sequence[Broadcast[NDArray[Any]]]]",
    contents: "Broadcast[list[bytes]]",
    name: str,
) -> str:
    """The trial's work by a worker, as JSON: `found`, or the sentence with which it `failed`."""

    def work(_: Any) -> list[str]:
        def vectors() -> dict[tuple[int, str], NDArray[Any]]:
            return {
                place: parts[0].value if len(parts) == 1 else np.concatenate([part.value for part in parts])
                for place, parts in sent.items()
            }

        try:
            return [json.dumps({"found": trial.work(vectors, contents.value)})]
        except Exception as error:  # noqa: BLE001  (told as the candidate's own)
            return [json.dumps({"failed": _sentence(error)})]

    context = spark.sparkContext
    context.setJobGroup(f"tune {name}", name)
    return str(context.parallelize([0], 1).mapPartitions(work).collect()[0])


def _sentence(error: Exception) -> str:
    """An error's last line, as a sentence."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{(lines[-1] if lines else type(error).__name__)[:300].rstrip('.')}."
