"""Predictions of a saved model for new pictures, in this process: what the pipeline of Spark answers for them."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from job import storage
from job.apart import CRASHED
from job.errors import UserError
from job.model.chain import Described
from job.model.format import Stored
from job.vision import pixels
from job.vision.picture import Picture

PictureLike: TypeAlias = bytes | bytearray | memoryview | str | os.PathLike[str] | NDArray[np.uint8]
"""A picture: the bytes of a JPEG or PNG, the address of such a file, or an array: uint8 of shape (height, width, 3),
red first, or (height, width) for a grey one."""

OK = "ok"
"""The status of a picture that has a prediction."""
UNKNOWN = "unknown"
"""The status of a picture for which no category is probable enough, or which is too far from all of them."""
REASONS: Mapping[str, str] = {
    "empty": "The picture has no bytes.",
    "too_large": "The picture has too many bytes or pixels.",
    "not_an_image": "This is neither a JPEG nor a PNG, or it is damaged.",
    "not_supported": "This is a picture of another kind than JPEG and PNG: convert it to one of them.",
    "truncated": "The end of the picture is missing.",
    "damaged": "A part of the picture's data makes no sense.",
    "no_descriptors": "The picture shows nothing that could be described: it is blank or very small.",
    "unreadable": "The file is not there, or it can't be read.",
    CRASHED: "The process that read the picture broke down.",
    UNKNOWN: "No category is probable enough, or the picture is too far from all of them.",
}
"""What each status other than "ok" means, in a sentence."""
_NO_DESCRIPTORS = "no_descriptors"
# Pictures whose descriptors are held at the same time.
_TOGETHER = 256


@dataclass(frozen=True, slots=True)
class Rejection:
    """When the answer to a picture that could be described is "unknown"; by default never.

    Attributes
    ----------
    below
        Where the most probable category has a probability below this.
    unknown
        Where the picture is farther from all categories than all but this share of known pictures; 0 looks at no
        distance.

    """

    below: float = 0.0
    unknown: float = 0.0

    def asked(self) -> dict[str, float]:
        """As arguments of `Model.predict`."""
        return {"reject_below": self.below, "reject_unknown": self.unknown}


NOTHING_REJECTED = Rejection()


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says of one picture.

    Attributes
    ----------
    category
        The most probable category; None for a picture that could not be described, or that is "unknown".
    probability
        The probability of the most probable category; None for a picture that could not be described.
    top
        The most probable categories with their probabilities, falling; empty for a picture that could not be described.
    status
        "ok", "unknown" as `Model.predict` was asked to say it, or why the picture could not be described, as in
        `rejected.csv`: `empty`, `too_large`, `not_an_image`, `not_supported`, `truncated`, `damaged`,
        `no_descriptors`, `unreadable`, `crashed`.
    label
        The number of the category, from 0, in the order of `Model.categories`; None where `category` is.

    """

    category: str | None
    probability: float | None
    top: tuple[tuple[str, float], ...]
    status: str
    label: int | None

    @property
    def described(self) -> bool:
        """Whether the picture could be described, so that the model has something to say of it."""
        return self.probability is not None

    @property
    def reason(self) -> str | None:
        """What the status means, in a sentence; None for "ok"."""
        return REASONS.get(self.status)

    def public(self) -> dict[str, Any]:
        """All of it but the label, as JSON values; `reason` is there only where the status is not "ok"."""
        return {
            "status": self.status,
            "category": self.category,
            "probability": self.probability,
            "top": [{"category": name, "probability": chance} for name, chance in self.top],
            **({"reason": self.reason} if self.reason else {}),
        }


class Model:
    """A saved model, made by `job.load_model`. It may be used by several threads at once.

    Parameters
    ----------
    stored
        What `job.model.format.read` has read.

    """

    def __init__(self, stored: Stored) -> None:
        self._stored = stored
        self._chain = stored.chain

    def __repr__(self) -> str:
        """The address and the number of categories."""
        return f"Model({self.uri!r}, categories={len(self.categories)})"

    @property
    def uri(self) -> str:
        """The address that the model was loaded from."""
        return self._stored.uri

    @property
    def digest(self) -> str:
        """SHA-256 of what the model is made of: two models of the same digest are the same."""
        return self._stored.digest

    @property
    def max_bytes(self) -> int:
        """Pictures of more bytes are not read."""
        return self._stored.description.max_bytes

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the categories, in the order of labels and of the columns of `probabilities`."""
        return self._stored.description.categories

    @property
    def classifies(self) -> bool:
        """Whether it has a classifier: without one it gives features alone."""
        return self._chain.classifier is not None

    @property
    def knows_unknown(self) -> bool:
        """Whether it can say how far a picture is from all categories, so that `reject_unknown` can be asked of it."""
        return self._chain.knows_unknown

    @property
    def recipe(self) -> dict[str, Any]:
        """The recipe that the model was made by."""
        return dict(self._stored.description.recipe)

    @property
    def versions(self) -> dict[str, Any]:
        """Versions of the programs and libraries that the model was made with."""
        return dict(self._stored.description.versions)

    @property
    def facts(self) -> dict[str, Any]:
        """What the run said of the model: its `run_name` and, where it was scored, its `accuracy`."""
        return dict(self._stored.description.facts)

    @overload
    def predict(
        self,
        picture: list[PictureLike] | tuple[PictureLike, ...],
        top_k: int = ...,
        *,
        reject_below: float = ...,
        reject_unknown: float = ...,
    ) -> list[Prediction]: ...
    @overload
    def predict(
        self, picture: PictureLike, top_k: int = ..., *, reject_below: float = ..., reject_unknown: float = ...
    ) -> Prediction: ...
    def predict(
        self,
        picture: PictureLike | list[PictureLike] | tuple[PictureLike, ...],
        top_k: int = 3,
        *,
        reject_below: float = 0.0,
        reject_unknown: float = 0.0,
    ) -> Prediction | list[Prediction]:
        """What the model says of a picture, or of each in a list of pictures.

        Parameters
        ----------
        picture
            Bytes of a JPEG or PNG, the address of such a file, or an array: uint8 of shape (height, width, 3), red
            first, or (height, width) for a grey one. Or a list of these.
        top_k
            How many of the most probable categories are named; fewer where there are fewer.
        reject_below
            Where the most probable category has a probability below this, the status is "unknown" and no category is
            given. 0 gives a category to every picture that could be described.
        reject_unknown
            The share of known pictures, from 0 to 1, that one accepts to lose so that pictures of something else are
            found: the status is "unknown" as well where a picture is farther from all categories than all but this
            share of the training pictures that were held out. 0 looks at no distance.

        Raises
        ------
        ValueError
            An array is of another type or shape, a picture is none of these things, `top_k` is below 1, or
            `reject_below` or `reject_unknown` is no number from 0 to 1.
        UserError
            The model has no classifier, `reject_unknown` is asked of one that does not know distances
            (`knows_unknown`), or the store of an address does not work.

        """
        if top_k < 1:
            raise ValueError(f"top_k is {top_k}: ask for 1 category or more.")
        if not 0 <= reject_below <= 1:
            raise ValueError(f"reject_below is {reject_below}: a probability is a number from 0 to 1.")
        self.check(reject_unknown)
        pictures = picture if isinstance(picture, list | tuple) else [picture]
        statuses, chances, unknown = self._probabilities(pictures, reject_unknown)
        known = zip(statuses, chances, unknown.tolist(), strict=True)
        found = [self._prediction(*each, top_k, reject_below) for each in known]
        return found if isinstance(picture, list | tuple) else found[0]

    def check(self, reject_unknown: float = 0.0) -> None:
        """Raises what `predict` would raise with that `reject_unknown` for any picture."""
        if not self.classifies:
            raise UserError(
                f"The model '{self.uri}' has no classifier, since its run was made with --no-classify: make a run "
                "without it, or ask for features alone."
            )
        if not 0 <= reject_unknown <= 1:
            raise ValueError(f"reject_unknown is {reject_unknown}: a share of pictures is a number from 0 to 1.")
        if reject_unknown and not self.knows_unknown:
            raise UserError(
                f"The model '{self.uri}' does not know how far a picture is from its categories (reject_unknown): make "
                "the run again with the classifier rda or lda and this version of the program, or ask for a least "
                "probability (reject_below) instead."
            )

    def probabilities(self, pictures: Sequence[PictureLike]) -> NDArray[np.float64]:
        """Probability of each category: float64 of shape (pictures, categories).

        The row of a picture that could not be described is NaN. Raises as `predict` does.
        """
        self.check()
        return self._probabilities(pictures, 0.0)[1]

    def features(self, pictures: Sequence[PictureLike]) -> NDArray[np.float64]:
        """The feature vectors that the classifier sees: float64 of shape (pictures, width).

        The row of a picture that could not be described is NaN. Raises as `predict` does, but needs no classifier.
        """
        return self._features(pictures)[1]

    def _prediction(
        self, status: str, chances: NDArray[np.float64], unknown: bool, top_k: int, least: float
    ) -> Prediction:
        if status != OK:
            return Prediction(None, None, (), status, None)
        order = np.argsort(-chances, kind="stable")[:top_k].tolist()  # of equal ones the first, as the stage does
        top = tuple((self.categories[label], float(chances[label])) for label in order)
        if unknown or top[0][1] < least:
            return Prediction(None, top[0][1], top, UNKNOWN, None)
        return Prediction(*top[0], top, status, order[0])

    def _probabilities(
        self, pictures: Sequence[PictureLike], share: float
    ) -> tuple[list[str], NDArray[np.float64], NDArray[np.bool_]]:
        """The status of each picture, its probabilities, and whether it is unknown at that `reject_unknown`."""
        statuses, features = self._features(pictures)
        chances = np.full((len(features), len(self.categories)), np.nan)
        good = [place for place, status in enumerate(statuses) if status == OK]
        unknown = np.zeros(len(features), np.bool_)
        if good:
            own = features if len(good) == len(features) else features[good]  # vectors are long: a copy takes a while
            chances[good] = self._chain.probabilities(own)
            if share:
                unknown[good] = self._chain.unknown(own, share)
        return statuses, chances, unknown

    def _features(self, pictures: Sequence[PictureLike]) -> tuple[list[str], NDArray[np.float64]]:
        """The status of each picture and its feature vector, which is NaN where the status is not "ok"."""
        if isinstance(pictures, str | bytes | bytearray | memoryview | os.PathLike | np.ndarray):
            raise ValueError("A list of pictures was expected, and one picture was given: put it in a list.")  # noqa: TRY004
        statuses: list[str] = []
        features = np.full((len(pictures), self._chain.width), np.nan)
        contents = _contents(pictures, self._stored.description.max_bytes)
        for start in range(0, len(pictures), _TOGETHER):
            described: dict[int, Described] = {}
            for place in range(start, min(start + _TOGETHER, len(pictures))):
                found = self._described(next(contents))
                if isinstance(found, str):
                    statuses.append(found)
                else:
                    statuses.append(OK)
                    described[place] = found
            if described:
                features[list(described)] = self._chain.features(list(described.values()))
        return statuses, features

    def _described(self, content: Any) -> Described | str:
        """The descriptors of a picture, or why it has none."""
        own = self._stored.description
        if isinstance(content, storage.Fault):
            return content.reason
        try:
            if isinstance(content, np.ndarray):
                picture = Picture.of(content, mask=own.mask)
            else:
                picture = Picture.decode(content, own.max_bytes, mask=own.mask)
            found = {spec.name: spec.describe(picture) for spec in self._chain.descriptors}
        except pixels.Unusable as unusable:
            return unusable.reason
        return found if any(map(len, found.values())) else _NO_DESCRIPTORS


def _contents(pictures: Sequence[PictureLike], max_bytes: int) -> Iterator[bytes | NDArray[Any] | storage.Fault]:
    """Bytes, an array or a fault for each picture. Files of a folder that follow one another are asked for at once."""
    for folder, group in groupby(map(_address, pictures), key=lambda found: found[0]):
        if folder is None:
            yield from (content for _, content in group)
        else:
            yield from storage.read_many(folder, [name for _, name in group], max_bytes=max_bytes)


def _address(picture: Any) -> tuple[str | None, Any]:
    """The folder and the name of a file; None and the content of what is no address."""
    if isinstance(picture, bytes | np.ndarray | storage.Fault):  # a fault: somebody has read it already, and failed
        return None, picture
    if isinstance(picture, bytearray | memoryview):
        return None, bytes(picture)
    if not isinstance(picture, str | os.PathLike):
        raise ValueError(  # noqa: TRY004  # misuse of the interface is a ValueError everywhere
            f"A picture is bytes, the address of a file or an array, not {type(picture).__name__}."
        )
    address = storage.normalise(os.fspath(picture))
    folder, _, name = address.rpartition("/")
    return folder or "/", name
