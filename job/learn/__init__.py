"""What is learned from descriptors and features, in plain numpy: vocabularies, encodings, components, classifiers.

Descriptors are whole numbers and words lie on a grid, so every sum over them is exact: integer sums in int64, and the
products of `assign` in float32. Hence no vocabulary or bag of words depends on blocks, threads or partitions.
"""
