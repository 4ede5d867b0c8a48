"""Which method and which setting forget least of what the base model knew, for the same learning."""
