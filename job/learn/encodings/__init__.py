"""Encodings by name: each makes one vector of a picture's descriptors. An entry is one file and one line here."""

from typing import TYPE_CHECKING

from job.registry import Registry

if TYPE_CHECKING:
    from job.learn.encodings.base import Encoding

ENCODINGS: "Registry[Encoding]" = Registry(
    "encoding",
    {
        "counts": "job.learn.encodings.counts:COUNTS",
        "none": "job.learn.encodings.identity:NONE",
        "hellinger": "job.learn.encodings.hellinger:HELLINGER",
        "tf-idf": "job.learn.encodings.tfidf:TFIDF",
        "soft": "job.learn.encodings.soft:SOFT",
        "pyramid": "job.learn.encodings.places:PYRAMID",
        "rings": "job.learn.encodings.places:RINGS",
        "vlad": "job.learn.encodings.vlad:VLAD",
        "fisher": "job.learn.encodings.fisher:FISHER",
        "root": "job.learn.encodings.root:ROOT",
        "fourth-root": "job.learn.encodings.fourth_root:FOURTH_ROOT",
        "patches": "job.learn.encodings.patches:PATCHES",
    },
)


def fitting(*, placed: bool) -> tuple[str, ...]:
    """The encodings that go with descriptors whose rows say where they are (`placed`), or do not."""
    return tuple(name for name in ENCODINGS if ENCODINGS.get(name).placed is placed)
