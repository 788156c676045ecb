"""The same run on different numbers of executors: measured, shown, and a plan built on it."""
