"""The role `pretraining`: a whole conversation as one text, in the two forms that training_hub knows."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

OLD = re.compile(r"<\|(user|assistant)\|>\n([^<]+)")
NEW = re.compile(r"<\|start_of_role\|>(user|assistant)<\|end_of_role\|>\n([^<]+)")


def unrolled(messages: Sequence[Mapping[str, Any]]) -> tuple[list[Mapping[str, Any]], bool]:
    """The messages with transcripts taken apart, and whether there were any: then all of it is learned."""
    if not any(message["role"] == "pretraining" for message in messages):
        return list(messages), False
    found: list[Mapping[str, Any]] = []
    for message in messages:
        if message["role"] != "pretraining":
            found.append(message)
            continue
        text = message["content"]
        form = OLD if "<|user|>" in text or "<|assistant|>" in text else NEW
        found += [{"role": role, "content": content} for role, content in form.findall(text)]
    return found, True
