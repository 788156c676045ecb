"""What describes a picture, by name. One entry is one file and one line here; libraries load when it is first used."""

from typing import TYPE_CHECKING

from job.registry import Registry

if TYPE_CHECKING:
    from job.vision.descriptors.base import Descriptor

PLACED = "placed-"
"""What the names of descriptors with places begin with, before that of the descriptor itself."""

DESCRIPTORS: "Registry[Descriptor]" = Registry(
    "descriptor",
    {
        "sift": "job.vision.descriptors.sift:SIFT",
        "rootsift": "job.vision.descriptors.sift:ROOTSIFT",
        "orb": "job.vision.descriptors.orb:ORB",
        "surf": "job.vision.descriptors.surf:SURF",
        "dense-rootsift": "job.vision.descriptors.dense:DENSE_ROOTSIFT",
        "placed-sift": "job.vision.descriptors.sift:PLACED_SIFT",
        "placed-rootsift": "job.vision.descriptors.sift:PLACED_ROOTSIFT",
        "placed-orb": "job.vision.descriptors.orb:PLACED_ORB",
        "placed-surf": "job.vision.descriptors.surf:PLACED_SURF",
        "placed-dense-rootsift": "job.vision.descriptors.dense:PLACED_DENSE_ROOTSIFT",
        "hsv": "job.vision.descriptors.hsv:HSV",
        "soft-hsv": "job.vision.descriptors.soft_hsv:SOFT_HSV",
        "lbp": "job.vision.descriptors.lbp:LBP",
        "patches": "job.vision.descriptors.patches:PATCHES",
    },
)


def named() -> tuple[str, ...]:
    """The names that a user chooses from: those of descriptors with places are left to the encodings that take them."""
    return tuple(name for name in DESCRIPTORS.names if not name.startswith(PLACED))


def get(name: str) -> "Descriptor":
    """The descriptor of that name; ValueError, a sentence that lists the names, when there is none."""
    return DESCRIPTORS.get(name)
