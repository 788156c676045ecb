"""What somebody may have meant by a name that is not known."""

from collections.abc import Iterable

# Share of letters in common from which on two names are alike: `wrods` and `words` have 0.8, `sift` and `orb` none.
_ALIKE = 0.6


def nearest_name(given: str, names: Iterable[str]) -> str | None:
    """The name that is most like the given one, whatever the case of its letters; None where none is like it."""
    from difflib import get_close_matches

    known = {name.casefold(): name for name in names}
    found = get_close_matches(given.casefold(), known, 1, _ALIKE)
    return known[found[0]] if found else None


def did_you_mean(given: str, names: Iterable[str]) -> str:
    """` (did you mean 'words'?)`, for behind the name in a sentence; nothing where no name is like the given one."""
    found = nearest_name(given, names)
    return f" (did you mean '{found}'?)" if found else ""
