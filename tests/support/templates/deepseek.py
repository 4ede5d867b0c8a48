"""The template of DeepSeek's reasoning models, whose marks are written with bars of their own."""

from tests.support.templates.calls import as_json, functions
from tests.support.templates.family import Message, Script, Tools


def mark(name: str) -> str:
    """Return the special token of a name: full-width bars around it, SentencePiece's space between words."""
    return "<\uff5c{}\uff5c>".format(name.replace(" ", "\u2581"))


USER, ASSISTANT, END = mark("User"), mark("Assistant"), mark("end of sentence")
CALLS, CALLS_END = mark("tool calls begin"), mark("tool calls end")
CALL, NAME, CALL_END = mark("tool call begin"), mark("tool sep"), mark("tool call end")
OUTPUTS, OUTPUTS_END = mark("tool outputs begin"), mark("tool outputs end")
OUTPUT, OUTPUT_END = mark("tool output begin"), mark("tool output end")
MARKS = (USER, ASSISTANT, CALLS, CALLS_END, CALL, NAME, CALL_END, OUTPUTS, OUTPUTS_END, OUTPUT, OUTPUT_END)


def outputs(script: Script, messages: list[Message], number: int) -> None:
    """Write what a tool answered, with marks around neighbours."""
    if number == 0 or messages[number - 1]["role"] != "tool":
        script.fixed(OUTPUTS)
    script.fixed(f"{OUTPUT}{messages[number]['content']}{OUTPUT_END}")
    if number == len(messages) - 1 or messages[number + 1]["role"] != "tool":
        script.fixed(OUTPUTS_END)


def deepseek_r1(script: Script, messages: list[Message], tools: Tools) -> None:
    """Drop reasoning from content; an answer after a tool has no header, a call has one always."""
    script.fixed("<bos>", *(message["content"] for message in messages if message["role"] == "system"))
    answered = False
    for number, message in enumerate(messages):
        if message["role"] == "user":
            answered = False
            script.fixed(USER, message["content"])
        elif message["role"] == "tool":
            answered = True
            outputs(script, messages, number)
        elif message["role"] == "assistant" and functions(message):
            calls = [
                f"{CALL}function{NAME}{call['name']}\n```json\n{as_json(call['arguments'])}\n```{CALL_END}"
                for call in functions(message)
            ]
            script.fixed(ASSISTANT)
            script.answer(message, CALLS, "\n".join(calls), CALLS_END, END)
        elif message["role"] == "assistant":
            script.fixed("" if answered else ASSISTANT)
            script.answer(message, message["content"].split("</think>")[-1], END)
            answered = False
