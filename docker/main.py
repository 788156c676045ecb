"""The program of a SparkApplication: its arguments are those of `fruits`."""

import sys

from job.commands.main import main

sys.exit(main())
