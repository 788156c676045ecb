"""`fruits sample`: generated pictures of fruits."""

import argparse

from job.commands.options import add_debug, number, say
from job.errors import UsageError, UserError
from job.experiment.flags import add_telling

DESCRIPTION = (
    "Writes Training/<Category>/*.jpg and Test/<Category>/*.jpg of generated, fruit-like pictures: the same ones for "
    "the same seed."
)
EXAMPLES = ("fruits sample pictures --categories 5 --train-images 500",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where to write, how many, and the seed."""
    parser.add_argument("folder", help="where to write them")
    parser.add_argument("--categories", type=number(1), default=3, metavar="N", help="categories (3)")
    parser.add_argument("--train-images", type=number(1), default=150, metavar="N", help="training pictures (150)")
    parser.add_argument("--test-images", type=number(1), default=60, metavar="N", help="test pictures (60)")
    parser.add_argument("--seed", type=number(0), default=123, metavar="N", help="seed (123)")
    add_telling(parser, ("quiet",))
    add_debug(parser)


def main(arguments: argparse.Namespace) -> int:
    """Writes what is not there yet, and says how many."""
    from job.vision import sample

    try:
        done = sample.write_sample(
            arguments.folder,
            categories=arguments.categories,
            train_images=arguments.train_images,
            test_images=arguments.test_images,
            seed=arguments.seed,
        )
    except ValueError as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        raise UserError(
            f"'{error.filename or arguments.folder}' can't be written ({error.strerror}): choose another folder."
        ) from error
    there = f"; {done.unchanged} were there already" if done.written and done.unchanged else ""
    said = (
        f"{done.written} pictures written to {arguments.folder}{there}."
        if done.written
        else f"All {done.unchanged} pictures are in {arguments.folder} already."
    )
    say(arguments, said)
    return 0
