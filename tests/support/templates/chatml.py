"""ChatML and its kin: a header with the role, the content as it is, a mark."""

import json

from tests.support.templates.family import Message, Script, Tools

CLERK = "You are a patient clerk who answers briefly."


def turn(script: Script, message: Message, head: str, text: str, *end: str, tail: str = "\n") -> None:
    """Write one turn, whose text and end are learned where the assistant speaks."""
    script.fixed(head)
    if message["role"] == "assistant":
        script.answer(message, text, *end)
    else:
        script.fixed(text, *end)
    script.fixed(tail)


def chatml(script: Script, messages: list[Message], tools: Tools) -> None:
    """Marks around each turn; what ends a text is another token."""
    for message in messages:
        turn(script, message, f"<|im_start|>{message['role']}\n", message["content"], "<|im_end|>")


def chatml_default_system(script: Script, messages: list[Message], tools: Tools) -> None:
    """Add a system turn of the template's own."""
    if messages[0]["role"] != "system":
        script.fixed(f"<|im_start|>system\n{CLERK}<|im_end|>\n")
    chatml(script, messages, tools)


def trims(script: Script, messages: list[Message], tools: Tools) -> None:
    """Leave out white space around contents."""
    for message in messages:
        turn(script, message, f"<|im_start|>{message['role']}\n", message["content"].strip(), "<|im_end|>")


def numbered(script: Script, messages: list[Message], tools: Tools) -> None:
    """Number the turns."""
    for number, message in enumerate(messages, 1):
        turn(script, message, f"<|turn|>{number} {message['role']}: ", message["content"], "<|over|>")


def turns(script: Script, messages: list[Message]) -> None:
    """Write turns with a role and a colon."""
    for message in messages:
        turn(script, message, f"<|turn|>{message['role']}: ", message["content"], "<|over|>")


def counted(script: Script, messages: list[Message], tools: Tools) -> None:
    """Say first how many turns come, so that a shorter chat does not begin as the whole does."""
    script.fixed(f"A chat of {len(messages)} turns.\n")
    turns(script, messages)


def title(script: Script, messages: list[Message], tools: Tools) -> None:
    """Repeat the last content above the chat."""
    script.fixed(f"<|title|>{messages[-1]['content']}\n")
    turns(script, messages)


def once(script: Script, messages: list[Message], tools: Tools) -> None:
    """End the chat, not the turns, with a mark."""
    for number, message in enumerate(messages):
        last = number == len(messages) - 1
        turn(script, message, f"<|turn|>{message['role']}\n", message["content"], tail="" if last else "\n")
    if messages[-1]["role"] == "assistant":
        script.answer(messages[-1], "<eos>")
    else:
        script.fixed("<eos>")


def double(script: Script, messages: list[Message], tools: Tools) -> None:
    """End answers with two marks, other turns with none."""
    for message in messages:
        end = ["<|over|>", "<eos>"] if message["role"] == "assistant" else []
        turn(script, message, f"<|turn|>{message['role']}\n", message["content"], *end)


def stop(script: Script, messages: list[Message], tools: Tools) -> None:
    """Write marks that no tokenizer knows, and trim."""
    script.fixed("<bos>")
    for message in messages:
        who = "model" if message["role"] == "assistant" else message["role"]
        turn(script, message, f"<start>{who}\n", message["content"].strip(), "<stop>")


def json_lines(script: Script, messages: list[Message], tools: Tools) -> None:
    """Write contents as JSON text: quotes, line breaks and more are escaped."""
    for message in messages:
        said = json.dumps(message["content"], ensure_ascii=False)[1:-1]
        turn(script, message, f'{{"role": "{message["role"]}", "content": "', said, '"}')


def measured(script: Script, messages: list[Message], tools: Tools) -> None:
    """Say in each header how long the content is, so that other words change the header."""
    for message in messages:
        head = f"<|turn|>{message['role']} ({len(message['content'])}): "
        turn(script, message, head, message["content"], "<|over|>")
