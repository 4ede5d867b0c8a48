"""Stage 2: tune the base model with OSFT."""
