"""The base model: found, compared with its architecture, and copied into the cache.

`staging` is what the stage calls; each other module knows one thing that a model folder can be wrong in.
"""
