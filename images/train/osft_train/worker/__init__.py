"""What runs under torchrun: mini-trainer's own program, unchanged, with its gaps filled from outside."""
