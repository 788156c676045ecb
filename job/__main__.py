"""`python -m job` is the command `fruits`."""

from job.commands.main import command

if __name__ == "__main__":
    command()
