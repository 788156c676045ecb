"""Candidates that are fitted side by side on vectors that they share: each is one task of Spark."""

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from job import dataset
from job.experiment.clock import Clock
from job.experiment.extract import Extracted, Partitioning, columns_of
from job.experiment.recipe import Recipe
from job.experiment.tuning.apart import Apart
from job.experiment.tuning.features import (
    Coder,
    Described,
    Key,
    Union,
    describe,
    encode,
    key_of,
    learn_words,
    placed,
    variant_of,
)
from job.experiment.tuning.plan import Pictures, Training
from job.experiment.tuning.trial import Part, Trial
from job.experiment.tuning.workers import by_worker, sentence, some_contents
from job.learn import trials
from job.learn.classifiers import CLASSIFIERS
from job.learn.encodings import ENCODINGS
from job.vision.descriptors import DESCRIPTORS

if TYPE_CHECKING:
    from pyspark import Broadcast
    from pyspark.sql import SparkSession

    from job.stages import VisualVocabularyModel

# Vectors of all pictures and blocks that the driver holds, and each worker its part of.
MOST_BYTES = 3 << 29

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
    span
        Recipes that have all descriptors and copies of candidates that will be added.

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
        span: Sequence[Recipe] = (),
    ) -> None:
        self._spark, self._images, self._recipes, self._span = spark, images, list(recipes), span
        self._partitioning, self._clock, self._seed = partitioning, clock, seed
        self.extractions: list[dict[str, Any]] = []
        self.route = "tasks"
        self._described: dict[bool, Described] = {}
        self._coders: dict[Key, Coder] = {}
        self._failed: dict[Key, str] = {}
        # vectors with the executors, by block and variant, a broadcast for each rung so far
        self._sent: dict[tuple[Key, str], dict[int, Broadcast[NDArray[Any]]]] = {}
        self._disturbed: dict[str, dict[int, NDArray[np.intp]]] = {}
        self._contents: Broadcast[list[bytes]] | None = None

    # ---- pictures

    def describe(self) -> Described:
        """The training pictures, described for all candidates: once, or where some leave backgrounds out and others do
        not, twice. The first of these."""
        if not self._described:
            known = [recipe for recipe in self._recipes if recipe is not None]
            wanted = [*known, *self._span]
            for mask in sorted({recipe.mask for recipe in wanted}, reverse=True):
                own = [recipe for recipe in wanted if recipe.mask is mask]
                union = Union.of(own)
                self._described[mask] = self._describe(self._images, union, own)
            self._learn(known)
        return next(iter(self._described.values()))

    def add(self, recipe: Recipe | None) -> None:
        """Another candidate, whose place is the next one."""
        self._recipes.append(recipe)
        if self._described and recipe is not None:
            self._learn([recipe])

    def _learn(self, recipes: Sequence[Recipe]) -> None:
        """Words of the blocks that have none yet."""
        for mask, described in self._described.items():
            own = [recipe for recipe in recipes if recipe.mask is mask]
            missing = {key_of(recipe, block) for recipe in own for block in recipe.blocks}
            missing -= {*self._coders, *self._failed}
            if missing:
                always = bool(self._span)
                coders, failed = learn_words(
                    described, own, self._partitioning.cores, self._clock, missing, always=always
                )
                self._coders |= coders
                self._failed |= failed

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

    def known(self, recipe: Recipe) -> "tuple[Extracted, tuple[VisualVocabularyModel, ...]] | None":
        """The training pictures as `job.experiment.extract` would describe them for this recipe alone, and what its
        blocks would learn from them. None where its copies are others than those that were made, so that they have to
        be described anew, or nothing was described."""
        described = self._described.get(recipe.mask)
        if described is None:
            return None
        numbers = described.union.numbers(recipe)
        if numbers != tuple(range(1, len(numbers) + 1)):
            return None
        extracted = self._for(recipe, described)
        models = [self._coders[key_of(recipe, block)].model for block in recipe.blocks]
        return extracted, placed(models, extracted.columns)

    def _for(self, recipe: Recipe, described: Described) -> Extracted:
        """The described pictures with the descriptors and copies of one recipe."""
        from pyspark.sql import functions as F

        union, known = described.union, described.extracted
        numbers, columns = union.numbers(recipe), columns_of(recipe)
        frame = known.frame.where(F.col("copy").isin(0, *numbers)) if union.copies else known.frame
        packed = [F.col(union.column(name)).alias(column) for name, column in columns.items()]
        copy = ["copy"] if numbers else []
        return replace(
            known,
            images=replace(self._images, table=self._images.table.drop_columns(["rung"])),
            frame=frame.select("ima", "cat", *packed, "keypoints", "reason", *copy),
            columns=columns,
            rows={name: known.rows[name] for name in columns},
            drawn={name: rows for name, rows in known.drawn.items() if name in columns},
            copies=known.described * len(numbers),
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
                    self._keep(self._encoded(described, coders, names, part), part)

    def _encoded(
        self, described: Described, coders: Sequence[Coder], names: Mapping[str, int], part: int
    ) -> dict[tuple[Key, str], NDArray[Any]]:
        """The vectors of all blocks; one that can't be made of these pictures is marked as failed."""
        cores = self._partitioning.cores
        try:
            return encode(described, coders, names, cores, part)
        except Exception as error:  # noqa: BLE001  (the candidates of other blocks go on)
            if len(coders) == 1:
                self._failed[coders[0].key] = sentence(error)
                return {}
        found: dict[tuple[Key, str], NDArray[Any]] = {}
        for coder in coders:
            found |= self._encoded(described, [coder], names, part)
        return found

    def _keep(self, found: Mapping[tuple[Key, str], NDArray[Any]], part: int) -> None:
        context = self._spark.sparkContext
        for place, values in found.items():
            self._sent.setdefault(place, {})[part] = context.broadcast(values)

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
        *,
        keep: bool = False,
    ) -> None:
        """Fits these candidates, as many at a time as there are cores, and tells each result; none is begun once
        `over` says so. Vectors that only others need are let go, unless told to `keep` them."""
        self.describe()
        able = self._able(places, done)
        keys = list(dict.fromkeys(key for place in able for key in self._keys(place)))
        if not keep:
            self._forget(keys)
        contents = self._measured()
        if self._bytes(keys, pictures.rungs[rung]) > MOST_BYTES:
            self.route = "executors"
            for place in able:
                if not over():
                    trial = self._trial(place, pictures, rung, trainings)
                    self._say(place, done, self._apart(place, trial, pictures, contents.value))
            return
        self._send(keys, pictures, rung)
        able = self._able(able, done)
        self._disturb([key for key in keys if key not in self._failed], pictures, rung, trainings)
        with ThreadPoolExecutor(max(1, self._partitioning.cores)) as pool:
            begun = {}
            for place in able:
                trial = self._trial(place, pictures, rung, trainings)
                begun[pool.submit(partial(self._in_task, place, trial, rung, contents, over))] = place
            try:
                for future in as_completed(begun):
                    self._say(begun[future], done, future.result())
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _able(self, places: Sequence[int], done: Done) -> list[int]:
        """The candidates whose blocks could be learned and encoded; why the others could not is told."""
        able = []
        for place in places:
            problem = self._problem(self._recipe(place))
            if problem:
                done(place, None, problem)
            else:
                able.append(place)
        return able

    def _say(self, place: int, done: Done, found: dict[str, Any] | None) -> None:
        """Tells what was found, or why it `failed`; nothing where it was not begun."""
        if found is None:
            return
        if "failed" in found:
            done(place, None, found["failed"])
            return
        seconds = sum(self._coders[key].seconds for key in dict.fromkeys(self._keys(place)))
        done(place, {**found, "words_seconds": seconds}, "")

    def _bytes(self, keys: Sequence[Key], count: int) -> int:
        """Bytes of the vectors of so many pictures, copies included."""
        size = 0
        for key in keys:
            coder = self._coders[key]
            copies = len(self._described[key[0]].union.copies) * coder.copied
            size += count * (1 + copies) * coder.width * coder.itemsize
        return size

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

    def _trial(self, place: int, pictures: Pictures, rung: int, trainings: Sequence[Training]) -> Trial:
        """What a candidate has to do."""
        recipe = self._recipe(place)
        numbers = self._described[recipe.mask].union.numbers(recipe)
        disturbed = {kind: by_rung[rung] for kind, by_rung in self._disturbed.items() if rung in by_rung}
        return Trial(
            parts=tuple(
                Part(DESCRIPTORS.get(block.descriptor), ENCODINGS.get(block.encoding), self._coders[key].codebook)
                for key, block in zip(self._keys(place), recipe.blocks, strict=True)
            ),
            how=trials.How(
                CLASSIFIERS.get(recipe.classifier or ""),
                len(pictures.categories),
                recipe.scaled or len(recipe.blocks) > 1 or not recipe.components,
                recipe.scaled,
                recipe.components,
                recipe.seed,
                recipe.weights,
            ),
            copies=tuple(variant_of(number) for number in numbers),
            mask=recipe.mask,
            max_bytes=recipe.max_bytes,
            labels=pictures.labels()[: pictures.rungs[rung]],
            trainings=tuple(trainings),
            disturbed=disturbed,
        )

    def _in_task(
        self, place: int, trial: Trial, rung: int, contents: "Broadcast[list[bytes]]", over: Callable[[], bool]
    ) -> dict[str, Any] | None:
        """What a candidate finds in a task of its own, or why it `failed`; None where it was not begun."""
        if over():
            return None
        sent = {}
        for number, key in enumerate(self._keys(place)):
            for variant in ("", *trial.copies):
                parts = sorted(self._sent[key, variant].items())
                sent[number, variant] = [values for part, values in parts if part <= rung]
            for kind in trial.disturbed:
                sent[number, kind] = [self._sent[key, kind][rung]]
        try:
            return dict(json.loads(by_worker(self._spark, trial, sent, contents, f"candidate {place}")))
        except Exception as error:  # noqa: BLE001  (whatever a candidate does, the others go on)
            return {"failed": sentence(error)}

    def _apart(self, place: int, trial: Trial, pictures: Pictures, contents: Sequence[bytes]) -> dict[str, Any]:
        """The same by all executors."""
        recipe = self._recipe(place)
        described = self._described[recipe.mask]
        encoders = [self._coders[key].model for key in self._keys(place)]
        extracted = self._for(recipe, described)
        own_encoders = placed(encoders, extracted.columns)
        try:
            own = Apart(self._spark, recipe, trial, extracted, own_encoders, pictures, self._partitioning)
            return own.work(contents)
        except Exception as error:  # noqa: BLE001  (whatever a candidate does, the others go on)
            return {"failed": sentence(error)}

    def _measured(self) -> "Broadcast[list[bytes]]":
        """Some pictures, by which the cost of one is measured."""
        if self._contents is None:
            self._contents = self._spark.sparkContext.broadcast(some_contents(self._images))
        return self._contents
