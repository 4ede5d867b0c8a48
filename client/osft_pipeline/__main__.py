"""`python -m osft_pipeline` is the command `osft`."""

from osft_pipeline.cli import entry

if __name__ == "__main__":
    entry()
