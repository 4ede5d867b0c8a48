"""Names, titles and reasons from outside stand in the card as they are written, and act nowhere."""

import pytest
import yaml

from osft_register.front_matter import yaml_value
from osft_workspace.markdown import code, words


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("World capitals", "World capitals"),
        ("osft_capitals", "osft_capitals"),
        ("Odd | name", r"Odd \| name"),
        ("<script>alert(1)</script>", r"\<script\>alert(1)\</script\>"),
        ("[click](javascript:1)", r"\[click\](javascript:1)"),
        ("a`b*c\\d", r"a\`b\*c\\d"),
        ("one\n# two\x1b\u202e", r"one \# two\\x1b\\u202e"),
        ("https://u:pw@host/x?sig=1", r"https\://host/x"),
        ("# no heading", r"\# no heading"),
        ("- no list", r"\- no list"),
        ("12. no list", r"12\. no list"),
        ("_no_ emphasis, ~~no~~ line, &lt;b>", r"\_no\_ emphasis, \~\~no\~\~ line, \&lt;b\>"),
        ("x" * 1000, "x" * 497 + "..."),
    ],
)
def test_words_from_outside_are_not_read_as_markdown(text: str, shown: str) -> None:
    assert words(text) == shown


def test_code_from_outside_does_not_end_its_quotes() -> None:
    assert code("pvc://a/`b`\nc") == "`pvc://a/'b' c`"


@pytest.mark.parametrize(
    "value", ["a: b", 'say "x"', ["a", "b"], "line\u2028two\x85\x1b", "# no", None, {"a": 1}]
)
def test_a_value_in_the_front_matter_is_that_value(value: object) -> None:
    assert yaml.safe_load(f"key: {yaml_value(value)}\n") == {"key": value}
