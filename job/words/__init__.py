"""Visual words in plain numpy: draw descriptors, learn a vocabulary, assign words, count them.

Descriptors are whole numbers and words lie on a grid, so every sum below is exact: integer sums in int64, and the
products of `assign` in float32. Hence no result here depends on blocks, threads or partitions.
"""
