"""The program of a SparkApplication: its arguments are those of `fruits`."""

import sys

from job.commands.main import main

if __name__ == "__main__":  # processes that it starts import it again
    sys.exit(main())
