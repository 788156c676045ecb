"""The plan of an experiment: what describes a picture, what is learned from it, and what is scored."""

from dataclasses import dataclass
from typing import Any

from job.errors import UsageError
from job.learn.classifiers import CLASSIFIERS
from job.learn.encodings import ENCODINGS, fitting
from job.settings import Settings
from job.vision.descriptors import DESCRIPTORS, PLACED, named

ALL_DESCRIPTORS, DEFAULT_SAMPLE = -1, 0


@dataclass(frozen=True)
class Block:
    """A part of the feature vector: a descriptor, the encoding of its rows, and how many words that learns."""

    descriptor: str
    encoding: str
    words: int

    def __str__(self) -> str:
        return f"{self.descriptor}:{self.encoding}" + (f":{self.words}" if self.learns else "")

    @property
    def learns(self) -> bool:
        """Whether its encoding learns something; where it does not, the number of words says nothing."""
        return ENCODINGS.get(self.encoding).learns

    @property
    def width(self) -> int:
        """Values of its part of the feature vector."""
        return ENCODINGS.get(self.encoding).width(self.words, DESCRIPTORS.get(self.descriptor).width)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that decides what is learned from given pictures. Two runs of one recipe on the same pictures are the same.

    Attributes
    ----------
    blocks
        The parts of the feature vector, side by side in this order.
    sample
        Rows of descriptors that a block is learned from: a number, `DEFAULT_SAMPLE` or `ALL_DESCRIPTORS`.
    start, tolerance, max_iterations
        First words of k-means ("k-means||" or "random"), least relative gain of an iteration (0: until no word moves),
        and most iterations.
    components
        Principal components that are kept of the feature vector; 0 keeps the vector as it is.
    scaled
        Whether each block is brought to length 1, centred and divided by its total deviation.
    classifier
        Name of the classifier; None stops after the features.
    protocol
        Name of the protocol that says which pictures are trained on and which are scored.
    seed
        Seed of every draw.
    copies
        Levels of augmentation (`job.vision.augment.strengths`): each adds a changed copy of training pictures. The
        copies of a category together weigh as much as its pictures.
    copied
        Copies are made of so many training pictures of each category at most, those with the lowest hashes of their
        names.
    mask
        Whether descriptors that know a background leave it out.
    max_bytes
        Pictures of more bytes are not read.

    """

    blocks: tuple[Block, ...]
    sample: int = DEFAULT_SAMPLE
    start: str = "k-means||"
    tolerance: float = 1e-4
    max_iterations: int = 2000
    components: int = 0
    scaled: bool = False
    classifier: str | None = None
    protocol: str = "standard"
    seed: int = 123
    copies: tuple[str, ...] = ()
    copied: int = 130
    mask: bool = True
    max_bytes: int = 64 * 2**20

    @classmethod
    def of(cls, settings: Settings) -> "Recipe":
        """The recipe that these settings ask for. Raises UsageError when a block can't be meant, or more components are
        wanted than the blocks have values."""
        blocks = blocks_of(settings.features, settings.descriptor, settings.words)
        values = sum(block.width for block in blocks)
        if settings.features and settings.components > values:
            raise UsageError(
                f"{settings.given('components')} is more than the {values} values of {settings.given('features')}: "
                "there are at most as many components as values."
            )
        prototype = settings.preset == "reference"
        sample = {"all": ALL_DESCRIPTORS, "default": DEFAULT_SAMPLE}.get(
            str(settings.vocabulary_sample), settings.vocabulary_sample
        )
        return cls(
            blocks=blocks,
            sample=int(sample),
            start="random" if prototype else "k-means||",
            tolerance=0.0 if prototype else 1e-4,
            components=settings.components if _counted(blocks) or settings.features else 0,
            scaled=not _counted(blocks) or settings.features is not None,
            classifier=_classifier(settings),
            protocol=settings.protocol,
            seed=settings.seed,
            copies=_copies(settings),
            copied=settings.augment_images,
            mask=not settings.keep_background,
        )

    @property
    def descriptors(self) -> tuple[str, ...]:
        """Names of the descriptors, each once, in the order of the blocks."""
        return tuple(dict.fromkeys(block.descriptor for block in self.blocks))

    @property
    def weights(self) -> tuple[float, ...]:
        """What each block weighs beside the others."""
        return tuple(DESCRIPTORS.get(block.descriptor).weight for block in self.blocks) if len(self.blocks) > 1 else ()

    def stages(self) -> list[str]:
        """Names of the stages that will be fitted, in their order, for a plan."""
        found = ["DescriptorExtractor", *["VisualVocabulary" for _ in self.blocks]]
        if self.scaled or len(self.blocks) > 1 or not self.components:
            found.append("BlockScaler")
        if self.components:
            found.append("PrincipalComponents")
        return [*found, "CategoryIndexer", *(["CategoryClassifier"] if self.classifier else [])]

    def public(self) -> dict[str, Any]:
        """The recipe as JSON values."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "blocks"}
        return {"blocks": [str(block) for block in self.blocks], **values}


def _counted(blocks: tuple[Block, ...]) -> bool:
    """Whether the only block is one of word counts, of which principal components are taken as the prototype's."""
    return len(blocks) == 1 and blocks[0].encoding == "counts"


def _classifier(settings: Settings) -> str | None:
    """Name of the classifier. Raises UsageError where a library that it needs is not there."""
    if settings.no_classify:
        return None
    needs = CLASSIFIERS.get(settings.classifier).needs
    if needs is not None and (said := needs.missing()):
        raise UsageError(f"{settings.given('classifier')} {said}")
    return settings.classifier


def _copies(settings: Settings) -> tuple[str, ...]:
    """Levels of the copies. Raises UsageError for one that there is not, or a classifier that can't weigh them."""
    levels = tuple(level for level in (settings.augment or "off").split("+") if level != "off")
    if not levels:
        return ()
    from job.vision.augment import strengths

    for level in levels:
        try:
            strengths(level)
        except ValueError as error:
            raise UsageError(f"{settings.given('augment')}: {error}") from error
    if not settings.no_classify and CLASSIFIERS.get(settings.classifier).from_moments is None:
        raise UsageError(
            f"{settings.given('augment')} needs a classifier that weighs pictures, which {settings.classifier} does "
            "not: use --classifier lda, rda or ridge, or --augment off."
        )
    return levels


def blocks_of(features: str | None, descriptor: str | None, words: int) -> tuple[Block, ...]:
    """The blocks of the setting `features`, or where there is none the one of `descriptor`; `words` is what a block has
    that says no number of its own. Raises UsageError for a name that there is not."""
    if features is None:
        assert descriptor is not None
        return (_block(descriptor, "", words),)
    found = []
    for text in features.split("+"):
        name, _, rest = text.partition(":")
        encoding, _, own = rest.partition(":")
        if name not in DESCRIPTORS:
            raise UsageError(f"--features names '{name}': choose one of {', '.join(named())}.")
        if encoding and encoding not in ENCODINGS:
            raise UsageError(f"--features names the encoding '{encoding}': choose one of {', '.join(ENCODINGS)}.")
        found.append(_block(name, encoding, int(own or words)))
    return tuple(found)


def _block(descriptor: str, encoding: str, words: int) -> Block:
    spec = DESCRIPTORS.get(descriptor)
    encoding = encoding or spec.encoding
    placed = ENCODINGS.get(encoding).placed
    if placed and not spec.places and PLACED + descriptor in DESCRIPTORS:
        descriptor = PLACED + descriptor
    elif placed != bool(spec.places):
        which = ", ".join(fitting(placed=not placed))
        raise UsageError(
            f"--features names {descriptor}:{encoding}, which do not go together: choose one of {which} for the "
            "encoding."
        )
    return Block(descriptor, encoding, words if ENCODINGS.get(encoding).learns else 1)
