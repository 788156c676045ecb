"""Classifiers in plain numpy: features of shape (n, d) and labels 0..C-1 in, probabilities of shape (n, C) out."""
