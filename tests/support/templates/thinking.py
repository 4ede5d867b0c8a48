"""Templates that write, drop or split off reasoning."""

from tests.support.templates.calls import as_json, hermes, responses
from tests.support.templates.chatml import turn
from tests.support.templates.family import Message, Script, Tools


def last_question(messages: list[Message], default: int) -> int:
    """Return the position of the last user message that is not what a tool answered."""
    asked = default
    for number, message in enumerate(messages):
        text = message["content"]
        wrapped = text.startswith("<tool_response>") and text.endswith("</tool_response>")
        if message["role"] == "user" and not wrapped:
            asked = number
    return asked


def split(message: Message) -> tuple[str, str]:
    """Return the reasoning and the answer of a message as Qwen3's template separates them."""
    text = message["content"]
    if isinstance(message.get("reasoning_content"), str):
        return message["reasoning_content"], text
    if "</think>" not in text:
        return "", text
    why = text.split("</think>")[0].rstrip("\n").split("<think>")[-1].lstrip("\n")
    return why, text.split("</think>")[-1].lstrip("\n")


def qwen3(script: Script, messages: list[Message], tools: Tools) -> None:
    """Write reasoning after the last question only, an empty block in the last answer without any."""
    own = messages[0]["role"] == "system"
    if tools:
        script.fixed("<|im_start|>system\n" + (messages[0]["content"] + "\n\n" if own else ""))
        script.fixed("# Tools\n\n<tools>", *("\n" + as_json(tool) for tool in tools))
        script.fixed("\n</tools><|im_end|>\n")
    elif own:
        script.fixed(f"<|im_start|>system\n{messages[0]['content']}<|im_end|>\n")
    asked = last_question(messages, len(messages) - 1)
    for number, message in enumerate(messages):
        if message["role"] == "tool":
            responses(script, messages, number)
        elif message["role"] != "assistant":
            if number or not own:
                turn(script, message, f"<|im_start|>{message['role']}\n", message["content"], "<|im_end|>")
        else:
            why, words = split(message)
            head = "<|im_start|>assistant\n"
            block, rest = "", words
            if number > asked and (number == len(messages) - 1 or why):
                block, rest = f"<think>\n{why.strip(chr(10))}\n</think>\n\n", words.lstrip("\n")
            if block and not why.strip():
                head, block = head + block, ""
            calls = [("\n" if at or words else "") + call for at, call in enumerate(hermes(message))]
            turn(script, message, head, block + rest + "".join(calls), "<|im_end|>")


def always_thinks(script: Script, messages: list[Message], tools: Tools) -> None:
    """Begin the answer inside the reasoning: the generation prompt opens the block."""
    asked = max((n for n, m in enumerate(messages) if m["role"] == "user"), default=-1)
    for number, message in enumerate(messages):
        head, words = f"<|im_start|>{message['role']}\n", message["content"]
        if message["role"] == "assistant":
            why = message.get("reasoning_content")
            if why is None:
                parts = words.split("</think>")
                why = parts[0].split("<think>")[-1] if len(parts) > 1 else ""
                words = parts[-1]
            why, words = why.strip(), words.lstrip("\n")
            if number > asked:
                head += "<think>\n" if why else "<think>\n\n</think>\n\n"
                words = f"{why}\n</think>\n\n{words}" if why else words
        turn(script, message, head, words, "<|im_end|>")


def keeps_thinking(script: Script, messages: list[Message], tools: Tools) -> None:
    """Write reasoning in every turn that has it."""
    for message in messages:
        why = message.get("thinking") if message["role"] == "assistant" else None
        text = (f"<think>{why}</think>" if why else "") + message["content"]
        turn(script, message, f"<|im_start|>{message['role']}\n", text, "<|im_end|>")


def smollm3(script: Script, messages: list[Message], tools: Tools) -> None:
    """Mark whole turns as generated, header and empty reasoning included."""
    own = messages[0]["content"] if messages[0]["role"] == "system" else ""
    mode = "/no_think" if "/no_think" in own else "/think"
    script.fixed(f"<|im_start|>system\n## Metadata\n\nReasoning Mode: {mode}\n\n")
    script.fixed(own.replace("/no_think", "").replace("/think", "").rstrip() + "<|im_end|>\n")
    for message in messages:
        if message["role"] == "assistant":
            head = "<|im_start|>assistant\n" + ("" if mode == "/think" else "<think>\n\n</think>\n")
            turn(script, message, head, message["content"].lstrip("\n"), "<|im_end|>")
        elif message["role"] in ("user", "tool"):
            script.fixed(f"<|im_start|>user\n{message['content']}<|im_end|>\n")


def harmony(script: Script, messages: list[Message], tools: Tools) -> None:
    """Write reasoning as its own message; the last answer ends with another mark than the others."""
    script.fixed("<|start|>system<|message|>Reasoning: medium<|end|>")
    asked = max((n for n, m in enumerate(messages) if m["role"] == "user"), default=-1)
    for number, message in enumerate(messages):
        if message["role"] == "system":
            script.fixed(f"<|start|>developer<|message|># Instructions\n\n{message['content']}<|end|>")
        elif message["role"] != "assistant":
            script.fixed(f"<|start|>{message['role']}<|message|>{message['content']}<|end|>")
        else:
            final = "<|channel|>final<|message|>"
            script.fixed("<|start|>assistant")
            if message.get("thinking") and number > asked:
                script.answer(message, f"<|channel|>analysis<|message|>{message['thinking']}<|end|>")
                script.answer(message, f"<|start|>assistant{final}")
            else:
                script.fixed(final)
            script.answer(message, message["content"])
            script.answer(message, "<|return|>" if number == len(messages) - 1 else "<|end|>")
