"""Stage 1: check and stage the rows and the base model."""
