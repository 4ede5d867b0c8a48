"""Templates that write tools, tool calls and what tools answered."""

import json

from tests.support.templates.chatml import turn
from tests.support.templates.family import Message, Refused, Script, Tools, parity


def as_json(value: object, indent: int | None = None) -> str:
    """Return JSON as templates write it."""
    return json.dumps(value, ensure_ascii=False, indent=indent)


def called(call: dict[str, object], key: str = "arguments") -> str:
    """Return one call as a JSON object."""
    return f'{{"name": "{call["name"]}", "{key}": {as_json(call["arguments"])}}}'


def functions(message: Message) -> list[dict[str, object]]:
    """Return the functions that a message calls."""
    return [call["function"] for call in message.get("tool_calls") or []]


def llama31(script: Script, messages: list[Message], tools: Tools) -> None:
    """Put the tools into the first user turn; an answer is content or one call."""
    system = messages.pop(0)["content"].strip() if messages[0]["role"] == "system" else ""
    head = "<|start_header_id|>{}<|end_header_id|>\n\n".format
    script.fixed("<s>" + head("system") + ("Environment: ipython\n" if tools else ""))
    script.fixed(f"Knowledge ends: December 2023\nToday: 26 Jul 2024\n\n{system}<|eot_id|>")
    if tools:
        if not messages:
            raise Refused("the tools need a first user message to stand in")
        script.fixed(head("user") + "Answer with a call of one of these functions, as JSON.\n\n")
        script.fixed(*(as_json(tool, 4) + "\n\n" for tool in tools))
        script.fixed(messages.pop(0)["content"].strip() + "<|eot_id|>")
    for message in messages:
        if message["role"] == "tool":
            script.fixed(head("ipython") + as_json(message["content"]) + "<|eot_id|>")
            continue
        calls = functions(message)
        if len(calls) > 1:
            raise Refused("this model makes one tool call at a time")
        text = called(calls[0], "parameters") if calls else message["content"].strip()
        turn(script, message, head(message["role"]), text, "<|eot_id|>", tail="")


def mistral(script: Script, messages: list[Message], tools: Tools) -> None:
    """Put the tools before the last user turn, the system message into the first."""
    script.fixed("<s>")
    system = messages.pop(0)["content"] + "\n\n" if messages[0]["role"] == "system" else ""
    parity(
        [m for m in messages if m["role"] == "user" or (m["role"] == "assistant" and not functions(m))],
        "after the system message, user and assistant must alternate",
    )
    asked = [message for message in messages if message["role"] == "user"]
    for number, message in enumerate(messages):
        if message["role"] == "user":
            if tools and message == asked[-1]:
                script.fixed(f"[AVAILABLE_TOOLS] {as_json(tools)}[/AVAILABLE_TOOLS]")
            script.fixed(f"[INST] {system if number == 0 else ''}{message['content']}[/INST]")
        elif message["role"] == "tool":
            script.fixed(f'[TOOL_RESULTS] {{"content": {as_json(message["content"])}}}[/TOOL_RESULTS]')
        elif message["role"] == "assistant" and functions(message):
            calls = ", ".join(called(call) for call in functions(message))
            script.answer(message, f"[TOOL_CALLS] [{calls}]", "</s>")
        elif message["role"] == "assistant":
            script.fixed(" ")
            script.answer(message, message["content"].strip(), "</s>")
        else:
            raise Refused("only user, assistant and tool follow the first message")


def granite(script: Script, messages: list[Message], tools: Tools) -> None:
    """Add a system turn and a turn of tools; a call stands before the content."""
    system = "Knowledge ends: April 2024. You are a model of rocks."
    if messages[0]["role"] == "system":
        system = messages.pop(0)["content"]
    head = "<|start_of_role|>{}<|end_of_role|>".format
    script.fixed(f"{head('system')}{system}<|end_of_text|>\n")
    if tools:
        script.fixed(f"{head('tools')}{as_json(tools, 4)}<|end_of_text|>\n")
    for message in messages:
        calls = functions(message) if message["role"] == "assistant" else []
        before = "<|tool_call|>" + as_json(calls) if calls else ""
        turn(script, message, head(message["role"]), before + message["content"], "<|end_of_text|>")


def hermes(message: Message) -> list[str]:
    """Return a message's calls, each between tags on lines of their own."""
    return [f"<tool_call>\n{called(call)}\n</tool_call>" for call in functions(message)]


def responses(script: Script, messages: list[Message], number: int) -> None:
    """Write what a tool answered; neighbours share one user turn."""
    if number == 0 or messages[number - 1]["role"] != "tool":
        script.fixed("<|im_start|>user")
    script.fixed(f"\n<tool_response>\n{messages[number]['content']}\n</tool_response>")
    if number == len(messages) - 1 or messages[number + 1]["role"] != "tool":
        script.fixed("<|im_end|>\n")


def qwen25(script: Script, messages: list[Message], tools: Tools) -> None:
    """Add a system turn, which names the tools; calls follow the content."""
    own = messages[0]["role"] == "system"
    script.fixed("<|im_start|>system\n" + (messages[0]["content"] if own else "You are a helpful clerk."))
    if tools:
        script.fixed("\n\n# Tools\n\nThe functions, between <tools></tools>:\n<tools>")
        script.fixed(*("\n" + as_json(tool) for tool in tools))
        script.fixed('\n</tools>\n\nCall one with <tool_call>\n{"name": <name>, "arguments": <object>}')
        script.fixed("\n</tool_call>")
    script.fixed("<|im_end|>\n")
    for number, message in enumerate(messages):
        if message["role"] == "tool":
            responses(script, messages, number)
        elif message["role"] == "assistant" and functions(message):
            parts = [message["content"]] if message["content"] else []
            turn(script, message, "<|im_start|>assistant\n", "\n".join(parts + hermes(message)), "<|im_end|>")
        elif number or not own:
            turn(script, message, f"<|im_start|>{message['role']}\n", message["content"], "<|im_end|>")


def glm4(script: Script, messages: list[Message], tools: Tools) -> None:
    """Write no end of a turn: the next header is it. The generation prompt lacks the header's line break."""
    script.fixed("[gMASK]<sop>")
    if tools:
        script.fixed("<|system|>\nYou may call tools.")
        for tool in tools:
            script.fixed(f"\n\n## {tool['function']['name']}\n\n{as_json(tool['function'], 4)}")
    for message in messages:
        if message["role"] == "tool":
            script.fixed(f"<|observation|>\n{message['content']}")
        elif message["role"] == "assistant" and functions(message):
            script.fixed("<|assistant|>")
            calls = [f"{call['name']}\n{as_json(call['arguments'])}" for call in functions(message)]
            script.answer(message, "<|assistant|>".join(calls))
        else:
            turn(script, message, f"<|{message['role']}|>\n", message["content"], tail="")
