"""The program of a SparkApplication: its arguments are those of `fruits`."""

import sys

from job.cli import main

sys.exit(main())
