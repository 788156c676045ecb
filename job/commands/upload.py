"""`fruits upload`: a folder into a bucket."""

import argparse

from job.commands.options import add_debug, console_of, say
from job.experiment.flags import add_telling

DESCRIPTION = (
    "Puts all files of a folder into a bucket, many at a time. What is there already, with the same size and checksum, "
    "is left: an upload that was stopped goes on where it was. Last comes an empty object _SUCCESS."
)
EXAMPLES = ("fruits upload pictures s3://bucket/pictures --create-bucket",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The folder, the address, and who may read."""
    parser.add_argument("folder", help="folder of this machine")
    parser.add_argument("uri", help="s3://bucket/prefix")
    parser.add_argument("--create-bucket", action="store_true", help="make the bucket if it is not there")
    parser.add_argument("--public-read", action="store_true", help="let everybody read the objects")
    add_telling(parser, ("quiet",))
    add_debug(parser)


def main(arguments: argparse.Namespace) -> int:
    """Uploads, and says how much."""
    from job.storage.upload import create_bucket, upload

    console = console_of(arguments)
    if arguments.public_read:
        console.warning("Everybody will be able to read what is uploaded (--public-read).")
    if arguments.create_bucket:
        create_bucket(arguments.uri)
    with console.progress("upload", None) as bar:
        counts = upload(
            arguments.folder,
            arguments.uri,
            public_read=arguments.public_read,
            progress=lambda now: bar.update(now.uploaded + now.skipped, now.files),
        )
    said = f"{counts.uploaded} uploaded ({counts.bytes:,} bytes), {counts.skipped} there already"
    say(arguments, f"{counts.files} files in {arguments.uri}: {said}.")
    return 0
