"""Runs what the chart renders as local processes: `scripts/run-local`, `scripts/ask` and `scripts/demo`."""
