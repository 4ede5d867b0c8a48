"""Stage 4: register the tuned model with its evidence."""
