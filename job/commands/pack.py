"""`fruits pack`: many small pictures into Parquet."""

import argparse

from job.commands.options import add_debug, console_of, say
from job.experiment.flags import add_telling

DESCRIPTION = "Packs a tree of pictures into Parquet files of about 128 MB, which --data takes like the tree itself."
EXAMPLES = ("fruits pack s3://bucket/pictures s3://bucket/packed",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where from, and where to."""
    parser.add_argument("source", help="folder or s3:// address with the pictures")
    parser.add_argument("target", help="folder or s3:// address for the packed ones")
    add_telling(parser, ("quiet",))
    add_debug(parser)


def main(arguments: argparse.Namespace) -> int:
    """Packs, and says how much."""
    from job.storage.pack import pack

    with console_of(arguments).progress("pack", None) as bar:
        done = pack(arguments.source, arguments.target, progress=bar.update)
    unusable = sum(done.faults.values())
    said = f"{done.images} pictures, {done.bytes:,} bytes, in {done.files} Parquet files in {arguments.target}"
    if unusable:
        said += f"; {unusable} without content, which a run will list as rejected"
    say(arguments, f"{said}.")
    return 0
