"""A small table as lines of text, for answers that programs read as well: aligned, no frames, no colours."""

from collections.abc import Sequence

from job.report.text import clean


def aligned(rows: Sequence[Sequence[str]], numbers: Sequence[int] = (), encoding: str = "utf-8") -> list[str]:
    """A line a row, its cells two spaces apart; columns whose places are in `numbers` end flush.

    All rows have as many cells. What a terminal would obey, or `encoding` can't hold, is written as escapes.
    """
    cells = [[clean(cell, encoding) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if place in numbers else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
