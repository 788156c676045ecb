"""A saved model on pictures as they arrive: list, predict what is new, write a batch, again and again.

All in this process and in workers that it starts, without Spark. Structured Streaming would bring nothing that is
needed here: its file source lists the whole address each time and keeps a log that grows for ever, exactly-once output
to an object store is left to a function of one's own (`foreachBatch`), and a JVM would idle between batches. One
machine keeps up with what arrives; what has piled up is a batch for `fruits predict --data` on a cluster.
"""
