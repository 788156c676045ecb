"""The card beside a stored model, as it is read back: its text, and its figures as plain values.

Whoever has a model may add to its card, and the model's checksums leave it out, so it may be anything. Not more than
`MOST` bytes of each file are read, and what is no text, or no list of plain values, is left out.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from job import storage
from job.model.card import CARD, RESULTS

MOST = 250_000
"""Files of more bytes are not read. The card of a run has some 10 kB, its figures 1 kB for each round."""


@dataclass(frozen=True)
class StoredCard:
    """What lies beside a model for people.

    Attributes
    ----------
    text
        The card, as Markdown; None where there is none.
    figures
        The figures in it as JSON values: a list of `task, dataset, metrics`. None where there are none.
    complaints
        A sentence about each file that is there and was left out.

    """

    text: str | None
    figures: list[Any] | None
    complaints: tuple[str, ...]


class _UnusableError(Exception):
    """Says what is wrong with a file, as what comes after "because it"."""


def read(root: str) -> StoredCard:
    """The card of the model in the folder `root`. Raises UserError where the store does not work."""
    card, figures = storage.read_many(root, [CARD, RESULTS], max_bytes=MOST)
    complaints: list[str] = []

    def parsed(name: str, content: bytes | storage.Fault, parse: Callable[[bytes], Any]) -> Any:
        try:
            known = _content(content)
            return None if known is None else parse(known)
        except _UnusableError as error:
            complaints.append(f"'{storage.join(root, name)}' is left out of the card, because it {error}.")
            return None

    return StoredCard(parsed(CARD, card, _text), parsed(RESULTS, figures, _figures), tuple(complaints))


def _content(found: bytes | storage.Fault) -> bytes | None:
    """The bytes of a file; None where there is none, or none in it."""
    if found == storage.Fault("too_large"):
        raise _UnusableError(f"has more than {MOST:,} bytes")
    return None if isinstance(found, storage.Fault) else found


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise _UnusableError("is no text in UTF-8") from error


def _figures(content: bytes) -> list[Any]:
    """The list that YAML says, which JSON can say too."""
    import yaml

    class Plain(yaml.SafeLoader):
        """Takes no aliases: a few of them, each of others, make gigabytes of some bytes."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise _UnusableError("refers to parts of itself")
            return super().compose_node(parent, index)

    try:
        found = yaml.load(_text(content), Plain)  # noqa: S506  (it is a SafeLoader)
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise _UnusableError("is no YAML that JSON could say too") from error
    if not isinstance(found, list):
        raise _UnusableError("is no list")
    return found
