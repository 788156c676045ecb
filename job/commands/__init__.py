"""One module for each command of `fruits`: parse, call, print."""
