"""The saved model: its format, read without Spark, and what it answers for new pictures."""
