"""`osft compare`: several runs side by side, from their records alone."""
