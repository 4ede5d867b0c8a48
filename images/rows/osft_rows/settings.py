"""What decides the tokens and labels of a row."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How rows become tokens; safe to send to another process."""

    model: str
    """Folder of the base model, with its tokenizer."""
    vocabulary: int
    """Rows of the base model's embeddings: the first token id that it cannot read."""
    trust_remote_code: bool = False
    """Run code that comes with the tokenizer."""
    unmask: bool = False
    """Learn from every message but the system's."""
    system_role: str = "keep"
    """What happens to a system message that the chat template refuses: keep or merge."""
    longest: int = 0
    """Rows of this many tokens or more are not trained on; 0: no limit."""
    shortest: int = 0
    """Chats of fewer tokens are not trained on."""
    document: str = "document"
    """Column of plain text."""
