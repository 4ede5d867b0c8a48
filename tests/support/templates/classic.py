"""Templates of the first years: instructions in brackets, headers of special tokens, plain text headers."""

from tests.support.templates.chatml import turn
from tests.support.templates.family import Message, Refused, Script, Tools, parity


def llama2(script: Script, messages: list[Message], tools: Tools) -> None:
    """Put the system message into the first instruction; a space stands on both sides of an answer."""
    system = messages.pop(0)["content"] if messages[0]["role"] == "system" else None
    parity(messages, "roles must alternate: user, assistant, user, assistant")
    for number, message in enumerate(messages):
        if message["role"] == "user":
            words = message["content"]
            if system is not None and number == 0:
                words = f"<<SYS>>\n{system}\n<</SYS>>\n\n{words}"
            script.fixed(f"<s>[INST] {words.strip()} [/INST]")
        else:
            script.fixed(" ")
            script.answer(message, message["content"].strip(), " ", "</s>")


def llama3(script: Script, messages: list[Message], tools: Tools) -> None:
    """Trim; nothing stands between the end of a turn and the next header."""
    script.fixed("<s>")
    for message in messages:
        head = f"<|start_header_id|>{message['role']}<|end_header_id|>\n\n"
        turn(script, message, head, message["content"].strip(), "<|eot_id|>", tail="")


def gemma(script: Script, messages: list[Message], tools: Tools) -> None:
    """Trim, call the assistant model, refuse system messages."""
    script.fixed("<bos>")
    if messages[0]["role"] == "system":
        raise Refused("this model takes no system message")
    parity(messages, "user and assistant must take turns")
    for message in messages:
        who = "model" if message["role"] == "assistant" else message["role"]
        turn(script, message, f"<start_of_turn>{who}\n", message["content"].strip(), "<end_of_turn>")


def phi3(script: Script, messages: list[Message], tools: Tools) -> None:
    """Write a second mark at the end of a chat; leave out roles that it does not know."""
    for message in messages:
        if message["role"] in ("system", "user", "assistant"):
            turn(script, message, f"<|{message['role']}|>\n", message["content"], "<|end|>")
    script.fixed("<|endoftext|>")


def zephyr(script: Script, messages: list[Message], tools: Tools) -> None:
    """End every turn with the end-of-text mark; leave out roles that it does not know."""
    for message in messages:
        if message["role"] in ("system", "user", "assistant"):
            turn(script, message, f"<|{message['role']}|>\n", message["content"], "</s>")


def alpaca(script: Script, messages: list[Message], tools: Tools) -> None:
    """Write headers and the end of an answer as plain text."""
    heads = {"user": "### Instruction:\n", "assistant": "### Response:\n", "tool": "### Input:\n"}
    for message in messages:
        end = ["###END###"] if message["role"] == "assistant" else []
        turn(script, message, heads.get(message["role"], ""), message["content"], *end, tail="\n\n")


def vicuna(script: Script, messages: list[Message], tools: Tools) -> None:
    """Write the chat as one line."""
    if messages[0]["role"] == "system":
        script.fixed(messages.pop(0)["content"] + " ")
    else:
        script.fixed("A curious user talks with an assistant. ")
    parity(messages, "turns must alternate")
    for message in messages:
        if message["role"] == "user":
            script.fixed(f"USER: {message['content']} ")
        else:
            script.fixed("ASSISTANT: ")
            script.answer(message, message["content"], "</s>")


def command_r(script: Script, messages: list[Message], tools: Tools) -> None:
    """Trim; write a header of two special tokens and no white space at all."""
    script.fixed("<bos>")
    names = {"system": "SYSTEM", "user": "USER", "assistant": "CHATBOT", "tool": "SYSTEM"}
    for message in messages:
        head = f"<|START_OF_TURN_TOKEN|><|{names[message['role']]}_TOKEN|>"
        turn(script, message, head, message["content"].strip(), "<|END_OF_TURN_TOKEN|>", tail="")
