"""The plan of a run and its parts: recipe, fit, score, results."""
