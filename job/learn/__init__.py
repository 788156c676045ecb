"""Learning from descriptors and features, in plain numpy: vocabularies, encodings, components, classifiers, scores.

Most descriptors are whole numbers, and words lie on a grid, so that sums over them are exact: sums in int64, and the
products of `assign` in float32. Hence no vocabulary or bag of words depends on blocks, threads or partitions.
"""
