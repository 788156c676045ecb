"""Numbers, names and settings as text that a person reads."""

import math
from collections.abc import Mapping

# Rows of a table that a preview shows.
PREVIEW_ROWS = 5


def clean(text: str, encoding: str = "utf-8") -> str:
    """`text` with what a terminal would obey, or `encoding` can't hold, written as escapes.

    File and category names come from outside: an escape sequence in one must not reach the terminal.
    """
    shown = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    return shown.encode(encoding, "backslashreplace").decode(encoding)


def size(count: float) -> str:
    """A number of bytes: `512 B`, `4.1 kB`, `3.3 GB` (powers of 1000)."""
    if abs(count) < 1000:
        return f"{count:.0f} B"
    for unit in ("kB", "MB", "GB"):
        count /= 1000
        if abs(count) < 999.95:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:.1f} TB"


def seconds(value: float) -> str:
    """A duration: `0.031 s`, `1.24 s`, `187 s`, `25 min 32 s`, `3 h 05 min`."""
    if value < 0.9995:
        return f"{value:.3f} s"
    if value < 99.95:
        return f"{value:.2f} s" if value < 9.995 else f"{value:.1f} s"
    whole = round(value)
    if whole < 600:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def about(value: float) -> str:
    """A duration that is only estimated: `5 s`, `3 min`, `2 h 05 min`."""
    whole = max(1, round(value))
    if whole < 100:
        return f"{whole} s"
    if whole < 5970:
        return f"{round(whole / 60)} min"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def number(value: float) -> str:
    """A number with thin thousands separators; floats with four significant digits."""
    if isinstance(value, float):
        if not math.isfinite(value):
            return str(value)
        if value != round(value) or abs(value) >= 1e15:
            return f"{value:.4g}" if abs(value) < 1e4 or abs(value) >= 1e15 else f"{value:,.1f}"
        value = int(value)
    return f"{value:,}"


def percent(value: float | None) -> str:
    """A share between 0 and 1: `97.3 %`; `-` where there is none."""
    return "-" if value is None else f"{100 * value:.1f} %"


def cell(value: object, width: int = 28) -> str:
    """A table's value in at most `width` characters; bytes are named by their size, long lists by their length."""
    if value is None:
        return ""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"<{size(len(value))}>"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return f"{value:.4g}" if value != round(value, 0) or abs(value) >= 1e6 else f"{value:.1f}"
    if isinstance(value, Mapping):
        return _middle_cut(", ".join(f"{cell(key)}: {cell(inner)}" for key, inner in value.items()), width)
    if isinstance(value, (list, tuple)):
        text = ", ".join(cell(inner) for inner in value[:8])
        return f"[{text}]" if len(value) <= 8 and len(text) <= width - 2 else f"[{len(value)} values]"
    return _middle_cut(str(value), width)


def plain(value: object) -> str:
    """A setting or a fact, complete: lists joined by commas, mappings as `key=value`."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={plain(inner)}" for key, inner in value.items())
    if isinstance(value, (list, tuple)):
        return ",".join(plain(inner) for inner in value)
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)


def _middle_cut(text: str, width: int) -> str:
    """Both ends stay: a path's last part tells rows apart, its first part says where they are."""
    if len(text) <= width:
        return text
    head = (width - 1) // 3
    return f"{text[:head]}…{text[len(text) - (width - 1 - head) :]}"
