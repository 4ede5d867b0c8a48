"""The table of all families."""

from tests.support.templates import calls, chatml, classic, deepseek, thinking
from tests.support.templates.family import Family, Oracle

IM = ("<|im_start|>", "<|im_end|>")
TURN = ("<|turn|>", "<|over|>")
SAID = {"<|system|>", "<|user|>", "<|assistant|>"}
THINK = ("<think>", "</think>")
HERMES = ("<tool_call>", "</tool_call>")
LLAMA = ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
COHERE = ("<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>", "<|CHATBOT_TOKEN|>", "<|USER_TOKEN|>")
HARMONY = ("<|start|>", "<|message|>", "<|channel|>", "<|end|>", "<|return|>")
MISTRAL = ("[INST]", "[/INST]", "[TOOL_CALLS]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]")
GRANITE = ("<|start_of_role|>", "<|end_of_role|>", "<|tool_call|>")


def family(
    oracle: Oracle,
    eos: str,
    marks: tuple[str, ...],
    takes: str,
    *,
    name: str = "",
    bos: str = "",
    plain: bool = True,
) -> Family:
    """Return the family whose template is called as its oracle is, unless it has its own name."""
    return Family(name or oracle.__name__, oracle, eos, bos, marks, frozenset(takes.split()), plain)


ALL = (
    family(chatml.chatml, "<|endoftext|>", IM, "system turns tool"),
    family(chatml.chatml_default_system, "<|im_end|>", IM, "system turns tool"),
    family(chatml.trims, "<|endoftext|>", IM, "system turns tool"),
    family(chatml.chatml, "<|im_end|>", IM, "system turns tool", name="generation"),
    family(chatml.chatml, "<|im_end|>", IM, "system turns tool", name="generation_without_mark"),
    family(chatml.numbered, "<eos>", TURN, "system turns tool"),
    family(chatml.counted, "<eos>", TURN, "system turns tool", plain=False),
    family(chatml.title, "<eos>", ("<|title|>", *TURN), "system turns tool", plain=False),
    family(chatml.measured, "<eos>", TURN, "system turns tool", plain=False),
    family(chatml.json_lines, "<eos>", (), "system turns tool"),
    family(chatml.once, "<eos>", TURN, "system turns tool"),
    family(chatml.double, "<eos>", TURN, "system turns tool"),
    family(chatml.stop, "<eos>", (), "system turns tool", bos="<bos>"),
    family(classic.llama2, "</s>", (), "system", bos="<s>"),
    family(classic.llama3, "<|eot_id|>", LLAMA, "system turns tool", bos="<s>"),
    family(classic.gemma, "<eos>", ("<start_of_turn>", "<end_of_turn>"), "system", bos="<bos>"),
    family(classic.phi3, "<|endoftext|>", ("<|end|>", *sorted(SAID)), "system turns"),
    family(classic.zephyr, "</s>", (), "system turns"),
    family(classic.alpaca, "<eos>", (), "system turns tool"),
    family(classic.vicuna, "</s>", (), "system"),
    family(classic.command_r, "<|END_OF_TURN_TOKEN|>", COHERE, "system turns tool", bos="<bos>"),
    family(calls.llama31, "<|eot_id|>", LLAMA, "system turns tool calls", bos="<s>"),
    family(calls.mistral, "</s>", MISTRAL, "system calls tool", bos="<s>", plain=False),
    family(calls.granite, "<|end_of_text|>", GRANITE, "system turns tool calls"),
    family(calls.qwen25, "<|im_end|>", (*IM, *HERMES), "system turns tool calls"),
    family(
        calls.glm4,
        "<|endoftext|>",
        ("[gMASK]", "<sop>", "<|observation|>", *sorted(SAID)),
        "system turns tool calls",
    ),
    family(thinking.qwen3, "<|im_end|>", (*IM, *HERMES, *THINK), "system turns tool calls reasoning_content"),
    family(thinking.always_thinks, "<|im_end|>", (*IM, *THINK), "system turns tool reasoning_content"),
    family(thinking.keeps_thinking, "<|im_end|>", (*IM, *THINK), "system turns tool thinking"),
    family(deepseek.deepseek_r1, deepseek.END, deepseek.MARKS, "system turns tool calls", bos="<bos>"),
    family(thinking.smollm3, "<|im_end|>", (*IM, *THINK), "system turns tool"),
    family(thinking.harmony, "<|return|>", HARMONY, "system turns tool thinking"),
)
