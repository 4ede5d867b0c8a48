"""Measures on a machine with one GPU, without network, what the other benchmarks cannot."""
