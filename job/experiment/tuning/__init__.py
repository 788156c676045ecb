"""`fruits tune`: candidates compared by cross-validation on training pictures that were described once.

`candidates` says what is compared, `plan` which pictures are learned from and scored, `features` describes pictures
and makes vectors, `trial` is one candidate's work in a task, `contest` has many of them at work, `search` leads all of
it, `ranking` compares what it found, `results` is what is kept, and `outputs` what is left.
"""
