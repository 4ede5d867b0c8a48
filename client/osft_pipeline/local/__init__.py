"""Runs what the chart renders as processes of this machine."""
