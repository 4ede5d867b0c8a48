"""Stage 3: compare the tuned model with its base and write the forgetting report."""
