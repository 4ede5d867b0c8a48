"""What the checks found."""

from dataclasses import dataclass, field

from osft_workspace.text import counted


@dataclass(slots=True)
class Findings:
    """Problems, what was looked at, and what could not be asked, in the order in which they came."""

    problems: list[str] = field(default_factory=list)
    """Sentences: what was found, what was expected, what to do."""
    fine: list[str] = field(default_factory=list)
    unasked: list[str] = field(default_factory=list)
    """What could not be asked, with the reason."""

    def text(self) -> str:
        """Return all problems as one message."""
        listed = "\n".join(f"- {problem}" for problem in self.problems)
        return f"{counted(len(self.problems), 'problem')} found:\n{listed}"

    def judge(self, what: str, problems: list[str], fine: str) -> None:
        """Add the result of one check: its problems, or `fine` if there are none."""
        self.problems += problems
        if not problems:
            self.fine.append(f"{what}: {fine}")
