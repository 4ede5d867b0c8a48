"""The base model: found, held against its architecture, and brought into the cache.

`staging` is what the stage calls; each other module knows one thing that a model folder can be wrong in.
"""
