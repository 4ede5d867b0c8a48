"""Text from outside inside Markdown: it is shown there as it is written, and acts nowhere."""

import re

from osft_workspace.text import field

LONGEST_WORDS = 500  # characters of a name, a title or a reason
ACTS = re.compile(
    r"[\\`*\[\]<>|~#]"
    r"|&(?=#?\w+;)"  # the name of a character, such as &lt;
    r"|_(?![^\W_])|(?<![^\W_])_"  # within a word it is a letter
    r"|:(?=//)|(?<=www)\.|(?<=WWW)\."  # what follows would become a link
    r"|^[-+=]"  # a list, a line or the line below a heading
)
NUMBERED = re.compile(r"^(\d{1,9})(?=[.)])")


def words(text: object, limit: int = LONGEST_WORDS) -> str:
    """Return a text as Markdown that shows just that, on one line, without secrets."""
    return NUMBERED.sub(r"\1\\", ACTS.sub(r"\\\g<0>", field(text, limit)))


def code(text: object, limit: int = LONGEST_WORDS) -> str:
    """Return a text as code within a line."""
    return f"`{field(text, limit).replace('`', chr(39))}`"
