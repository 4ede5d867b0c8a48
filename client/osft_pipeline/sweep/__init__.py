"""`osft sweep`: a run for every combination of some values."""
