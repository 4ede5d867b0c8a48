"""Benchmarks of the hub into the workspace, for an evaluation that asks no server.

`table` knows lm-eval's own tasks, `task_files` those of `eval.includePath`; `staging` downloads what
they ask.
"""
