"""The names that settings may have, from the registries of exchangeable parts."""

from collections.abc import Mapping, Sequence

from job.learn.classifiers import CLASSIFIERS
from job.learn.protocols import PROTOCOLS
from job.vision import descriptors


def choices() -> Mapping[str, Sequence[str]]:
    """Allowed names by setting. Listing them loads no library."""
    return {"descriptor": descriptors.named(), "classifier": CLASSIFIERS.names, "protocol": PROTOCOLS.names}
