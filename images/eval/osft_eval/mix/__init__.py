"""The mix: the share of what was tuned that goes on, `base + share * (tuned - base)`.

Averaging tuned weights with those of the base model keeps most of what was learned and undoes most of what
was forgotten (WiSE-FT, arXiv 2109.01903; LM-Cocktail, arXiv 2311.13534). The share is chosen on items and
rows that the verdict does not see: `halves`. `rule` says which share is chosen, `search` measures shares,
`blend` writes the weights.
"""
