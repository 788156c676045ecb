"""A registry for each kind of exchangeable part: a name maps to one entry, which is loaded when first asked for."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Generic, TypeVar, cast

from job.near_miss import did_you_mean

Entry = TypeVar("Entry")


class Registry(Generic[Entry]):
    """Entries of one kind by their names, in the order in which they were added.

    Parameters
    ----------
    kind
        What an entry is, as a message names it: "descriptor", "encoding", ...
    entries
        By name the entry itself, or "module:attribute", where it is found. A module is imported when its entry is
        first asked for, so that listing names (for a command's help, say) loads no library.

    """

    def __init__(self, kind: str, entries: Mapping[str, Entry | str]) -> None:
        self.kind = kind
        self._entries: dict[str, Entry | str] = dict(entries)

    @property
    def names(self) -> tuple[str, ...]:
        """All names."""
        return tuple(self._entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def add(self, name: str, entry: Entry | str) -> None:
        """Add an entry, or its "module:attribute", from outside. ValueError when the name is taken."""
        if name in self._entries:
            raise ValueError(f"There is a {self.kind} '{name}' already: choose another name.")
        self._entries[name] = entry

    def remove(self, name: str) -> None:
        """Take an entry out again; the counterpart of `add`."""
        del self._entries[name]

    def get(self, name: str) -> Entry:
        """The entry of that name; ValueError, a sentence that lists the names, when there is none."""
        try:
            found = self._entries[name]
        except KeyError:
            raise ValueError(
                f"There is no {self.kind} '{name}'{did_you_mean(name, self)}: choose one of {', '.join(self)}."
            ) from None
        if isinstance(found, str):
            module, _, attribute = found.partition(":")
            found = cast("Entry", getattr(import_module(module), attribute))
            self._entries[name] = found
        return found
