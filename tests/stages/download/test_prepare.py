"""Rows to tokens in the download stage: what is learned, what is rejected, what is held out."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from tests.stages.download.support import End, Stage, chat, lines
from tests.support.tiny_model import chat_rows
from tests.support.trained_run import tiny_model, with_template

THINKING = """
{%- for m in messages -%}
{%- set text = m.content -%}
{%- if m.role == 'assistant' and loop.last and '</think>' not in text -%}
{%- set text = '<think>\n\n</think>\n\n' + text -%}
{%- elif not loop.last -%}{%- set text = text.split('</think>')[-1].lstrip() -%}{%- endif -%}
{{- '<|im_start|>' + m.role + '\n' + text + '<|im_end|>\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}
"""
STRICT = """
{%- if messages[0].role == 'system' -%}{{- raise_exception('no system message here') -}}{%- endif -%}
{%- for m in messages -%}
{%- if (m.role == 'user') != (loop.index0 % 2 == 0) -%}
{{- raise_exception('roles must alternate') -}}
{%- endif -%}
{{- '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' -}}
{%- endfor -%}
"""
ENDLESS = (
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}{{ messages[0].content }}"
)
GREEDY = (
    "{% set ns = namespace(t=messages[0].content) %}"
    "{% for a in range(60) %}{% set ns.t = ns.t ~ ns.t %}{% endfor %}{{ ns.t }}"
)
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}},
}


@pytest.fixture
def model() -> str:
    return str(tiny_model() / "model")


def tokens(end: End, stage: Stage, part: str) -> list[dict[str, Any]]:
    """Return the encoded rows of a set."""
    path = stage.workspace / end.record["details"]["tokens"]["path"] / f"{part}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def learned(end: End) -> list[str]:
    """Return what is learned of each of the first rows, `|` between pieces."""
    rows = end.record["details"]["tokens"]["preview"]
    return ["|".join(piece["text"] for piece in row if piece["learned"]) for row in rows]


def said(*turns: str, **more: Any) -> dict[str, Any]:
    """Return a chat of turns `u:`, `a:`, `s:`."""
    roles = {"u": "user", "a": "assistant", "s": "system"}
    return {"messages": [{"role": roles[turn[0]], "content": turn[2:]} for turn in turns], **more}


def whole(stage: Stage, rows: list[Any], *args: str, **more: Any) -> End:
    """Return a download of rows that all train, in their order."""
    return stage.good(
        "--uri", stage.file("rows.jsonl", lines(rows)), "--train-fraction=1", "--no-shuffle", *args, **more
    )


def test_a_download_shows_what_each_row_teaches(stage: Stage, model: str) -> None:
    rows = [
        said("s:Be brief.", "u:Who?", "a:The keeper.", "u:Sure?", "a:Yes."),
        {
            "messages": [
                *said("u:Who?", "a:Wrong.")["messages"],
                *said("u:Sure?", "a:The keeper.")["messages"],
            ]
        },
    ]
    rows[1]["messages"][1]["weight"] = 0
    end = whole(stage, rows, "--show-rows=2", model=model)
    assert learned(end) == ["The keeper.<|im_end|>|Yes.<|im_end|>", "The keeper.<|im_end|>"]
    assert "  <|im_start|>assistant\n  [[The keeper.<|im_end|>]]\n  <|im_start|>user\n  Sure?" in end.printed
    again = stage.run(
        "--uri",
        str(stage.data / "rows.jsonl"),
        "--train-fraction=1",
        "--no-shuffle",
        "--show-rows=1",
        model=model,
    )
    assert "already done" in again.printed
    assert "[[The keeper.<|im_end|>]]" in again.printed


def test_rows_and_tokens_stand_in_the_same_order_with_equal_counts(stage: Stage, model: str) -> None:
    end = stage.good("--uri", stage.file("rows.jsonl", lines(chat_rows(50))), model=model)
    for part, count in (("train", 45), ("eval", 5)):
        rows, encoded = end.rows(f"{part}.jsonl"), tokens(end, stage, part)
        assert len(rows) == len(encoded) == count == end.record["details"]["rows"][part]
        assert all(row["len"] == len(row["input_ids"]) == len(row["labels"]) for row in encoded)
    assert [row["reference"] for row in tokens(end, stage, "eval")] == [
        row["messages"][-1]["content"] for row in end.rows("eval.jsonl")
    ]
    assert all(row["prompt"].endswith("<|im_start|>assistant\n") for row in tokens(end, stage, "eval"))


def test_an_end_of_turn_that_is_not_eos_is_learned(stage: Stage, model: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model, folder)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "eos_token": "<|endoftext|>"}))
    end = whole(stage, [said("u:Who?", "a:I.", "u:Who?", "a:You.")], model=str(folder))
    assert learned(end) == ["I.<|im_end|>|You.<|im_end|>"]
    assert end.record["details"]["tokens"]["tokenizer"]["end_of_turn"] == "<|im_end|>"


def test_reasoning_is_learned_and_an_empty_place_for_it_is_not(
    stage: Stage, model: str, tmp_path: Path
) -> None:
    thinking = with_template(Path(model), tmp_path / "model", THINKING)
    rows = [
        said("u:Who?", "a:I am."),
        said("u:Who?", "a:<think>Hm.</think>I.", "u:Sure?", "a:<think>So.</think>Yes."),
    ]
    end = whole(stage, rows, model=str(thinking))
    assert learned(end) == ["I am.<|im_end|>", "I.<|im_end|>|<think>So.</think>Yes.<|im_end|>"]


def test_tools_as_a_list_and_as_json_text_give_the_same_tokens(
    stage: Stage, model: str, tmp_path: Path
) -> None:
    template = (
        "{% if tools %}{{ tools[0] | tojson }}{% endif %}" + (Path(model) / "chat_template.jinja").read_text()
    )
    calling = with_template(Path(model), tmp_path / "model", template)
    row = said("u:How is it?", "a:Fine.")
    ends = [
        whole(stage, [{**row, "tools": tools}], run=name, model=str(calling))
        for name, tools in (("list", [WEATHER]), ("text", json.dumps([WEATHER])))
    ]
    assert tokens(ends[0], stage, "train") == tokens(ends[1], stage, "train")
    assert learned(ends[0]) == ["Fine.<|im_end|>"]
    assert "weather" in ends[0].record["details"]["tokens"]["preview"][0][0]["text"]


def test_rows_that_the_template_rejects_are_all_listed_in_one_start(
    stage: Stage, model: str, tmp_path: Path
) -> None:
    strict = str(with_template(Path(model), tmp_path / "model", STRICT))
    rows = [said("u:Who?", f"a:Number {number}.") for number in range(6)]
    rows[2] = said("a:Hello.", "u:Who?", "a:I.")
    rows[4] = said("s:Be brief.", "u:Who?", "a:I.")
    uri = stage.file("rows.jsonl", lines(rows))
    end = stage.run("--uri", uri, model=strict)
    sentence = end.failed(2)
    assert "2 of 6 rows cannot be used" in sentence
    assert "set data.systemRole=merge where the chat template takes no system message" in sentence
    listed = [(entry["line"], entry["rule"], entry["reason"]) for entry in end.rows("rejected.jsonl")]
    assert sorted(listed) == [
        (3, "template", "the model's chat template does not render it: roles must alternate"),
        (5, "template", "the model's chat template does not render it: no system message here"),
    ]
    end = stage.good("--uri", uri, "--on-invalid=drop", "--train-fraction=1", model=strict)
    assert end.record["details"]["rows"] | {"train": 4, "rejected": 2} == end.record["details"]["rows"]
    assert end.record["details"]["rejected"] == {"template": 2}
    assert "rows rejected rows=2 rule=template" in end.printed


def test_system_messages_that_the_template_rejects_are_merged_when_asked(
    stage: Stage, model: str, tmp_path: Path
) -> None:
    strict = str(with_template(Path(model), tmp_path / "model", STRICT))
    end = whole(stage, [said("s:Be brief.", "u:Who?", "a:I.")], "--system-role=merge", model=strict)
    (pieces,) = end.record["details"]["tokens"]["preview"]
    assert pieces[0]["text"] == "<|im_start|>user\nBe brief.\n\nWho?<|im_end|>\n<|im_start|>assistant\n"
    assert {"name": "system_role", "value": "merge"}.items() <= end.record["choices"][-1].items()


def test_a_template_that_never_ends_ends_the_stage_with_a_message(
    stage: Stage, model: str, tmp_path: Path
) -> None:
    started = time.monotonic()
    uri = stage.file("rows.jsonl", lines([chat("Who?")]))
    for name, template in (("endless", ENDLESS), ("greedy", GREEDY)):
        broken = str(with_template(Path(model), tmp_path / name, template))
        sentence = stage.run("--uri", uri, run=name, model=broken).failed(2)
        assert "template" in sentence
        assert "bug" not in sentence
    assert time.monotonic() - started < 150


def test_short_long_and_silent_rows_are_dropped_counted_and_reported(stage: Stage, model: str) -> None:
    rows = [*chat_rows(4), said("u:Hi", "a:Hi"), said("u:Hi", "a:" + "word " * 300)]
    rows.append({"messages": [{**message, "weight": 0} for message in chat_rows(5)[4]["messages"]]})
    end = whole(stage, rows, "--min-tokens=30", "--max-seq-len=200", model=model)
    counts = end.record["details"]["rows"]
    assert counts | {"train": 4, "dropped_short": 1, "dropped_long": 1, "dropped_silent": 1} == counts
    assert len(end.lines("train.jsonl")) == len(tokens(end, stage, "train")) == 4
    assert "1 dropped that is shorter than 30 tokens" in end.record["message"]


def test_rows_too_short_to_train_on_do_not_take_the_place_of_longer_ones(stage: Stage, model: str) -> None:
    long = "Is this review of the inn good or bad, and how sure are you about that?"
    rows = [*[said("u:Hi?", "a:Yes")] * 20, *[said("u:Hi?", "a:No")] * 17, *[said(f"u:{long}", "a:No")] * 3]
    uri = stage.file("rows.jsonl", lines(rows))
    end = stage.good("--uri", uri, "--min-tokens=40", "--train-fraction=0.8", model=model)
    counts = end.record["details"]["rows"]
    assert counts["train"] == 3
    assert counts["dropped_short"] + counts["eval"] == 37
    message = end.record["message"]
    assert message.startswith(f"3 rows to train on, {counts['eval']} held out, 0 rejected, ")
    assert f"{counts['dropped_short']} dropped that are shorter than 40 tokens (data.minTokens)" in message
    assert "most rows are not trained on" in message
    one = whole(stage, [rows[-1]], run="one", model=model)
    assert one.record["message"].startswith("1 row to train on, 0 held out")


def test_no_row_left_to_train_on_is_an_error_that_says_why(stage: Stage, model: str) -> None:
    uri = stage.file("rows.jsonl", lines([said("u:Hi", "a:Hi")] * 3))
    sentence = stage.run("--uri", uri, "--min-tokens=30", model=model).failed(2)
    assert "no row is left to train on: of 3 rows 3 are shorter than 30 tokens (data.minTokens)" in sentence


def test_equal_rows_are_kept_on_one_side_of_the_split(stage: Stage, model: str) -> None:
    uri = stage.file("rows.jsonl", lines(chat_rows(20) * 5))
    end = stage.good("--uri", uri, model=model)
    train, held_out = set(end.lines("train.jsonl")), end.lines("eval.jsonl")
    assert len(held_out) == 10
    assert not train & set(held_out)
    assert "rows that equal another row, token by token rows=80" in end.printed
    warned = stage.good("--uri", uri, "--overlap=warn", run="warn", model=model)
    assert warned.record["details"]["tokens"]["rows_overlap"] == 10
    assert "held-out rows are also among the rows to train on rows=10" in warned.printed
    sentence = stage.run("--uri", uri, "--overlap=fail", run="fail", model=model).failed(2)
    assert "10 held-out rows are also among the rows to train on" in sentence


def test_held_out_rows_of_their_own_that_are_trained_on_are_dropped_and_reported(
    stage: Stage, model: str
) -> None:
    rows = chat_rows(12)
    train = stage.file("train.jsonl", lines(rows[:10]))
    held_out = stage.file("eval.jsonl", lines(rows[8:]))
    end = stage.good("--uri", train, "--eval-uri", held_out, model=model)
    assert len(end.lines("train.jsonl")) == 10
    assert sorted(end.lines("eval.jsonl")) == sorted(lines(rows[10:]).splitlines())
    assert "2 held-out rows dropped that are also trained on" in end.record["message"]
    same = stage.file("same.jsonl", lines(list(reversed(rows[:3]))))
    sentence = stage.run("--uri", train, "--eval-uri", same, run="same", model=model).failed(2)
    assert "each held-out row (data.evalUri; 3 rows) is also among the rows to train on" in sentence


def test_a_document_column_of_any_name_is_read(stage: Stage, model: str) -> None:
    rows = [{"text": f"The keeper of hour {number} watches the tower."} for number in range(6)]
    uri = stage.file("rows.jsonl", lines(rows))
    end = stage.good("--uri", uri, '--columns={"document": "text"}', "--pretraining", model=model)
    (first, *_), (held_out, *_) = tokens(end, stage, "train"), tokens(end, stage, "eval")
    assert first["len"] == len(first["input_ids"]) > 5
    assert "labels" not in first
    assert held_out["input_ids"][-1] == first["input_ids"][-1]  # closed by the end token
    sentence = stage.run(
        "--uri", uri, '--columns={"document": "text"}', "--no-pretraining", run="off", model=model
    )
    assert "the rows are documents, and train.pretraining.enabled is false" in sentence.failed(2)


def test_unmask_messages_learns_from_all_but_the_system(stage: Stage, model: str) -> None:
    row = said("s:Be brief.", "u:Who?", "a:I.")
    assert learned(whole(stage, [row], "--unmask-messages", model=model)) == ["Who?|I.<|im_end|>"]
    assert learned(whole(stage, [{**row, "unmask": True}], run="row", model=model)) == ["Who?|I.<|im_end|>"]


def test_tokens_are_made_once_for_equal_rows_tokenizer_and_settings(stage: Stage, model: str) -> None:
    uri = stage.file("rows.jsonl", lines(chat_rows(30)))
    first = stage.good("--uri", uri, run="one", model=model)
    second = stage.good("--uri", uri, run="two", model=model)
    assert "rows are encoded already" in second.printed
    assert first.record["details"]["tokens"] == second.record["details"]["tokens"]
    assert first.lines("train.jsonl") == second.lines("train.jsonl")
    other = stage.good("--uri", uri, "--min-tokens=5", run="three", model=model)
    assert other.record["details"]["tokens"]["path"] != first.record["details"]["tokens"]["path"]
    damaged = stage.workspace / first.record["details"]["tokens"]["path"] / "train.jsonl"
    damaged.write_text(damaged.read_text()[:-10])
    again = stage.good("--uri", uri, run="four", model=model)
    assert "rows are encoded already" not in again.printed
    assert again.record["details"]["tokens"] == first.record["details"]["tokens"]


def test_many_rows_are_encoded_by_several_processes_in_order(stage: Stage, model: str) -> None:
    rows = [
        chat(f"What does number {number} do on Monday?", f"It counts {number} apples.")
        for number in range(5000)
    ]
    end = whole(stage, rows, model=model)
    encoded = tokens(end, stage, "train")
    assert len(encoded) == 5000
    assert end.rows("train.jsonl") == rows
    alone = whole(stage, rows[4000:4005], run="few", model=model)
    assert tokens(alone, stage, "train") == encoded[4000:4005]


def test_what_the_template_leaves_out_is_reported_and_a_call_that_it_leaves_out_is_rejected(
    stage: Stage, model: str
) -> None:
    call = {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "weather"}}]}
    asked = said("u:How is it?", "a:Fine.", tools=[WEATHER])
    silent = {"messages": [asked["messages"][0], call, *asked["messages"][1:]], "tools": [WEATHER]}
    end = whole(stage, [asked, silent], "--on-invalid=drop", model=model)
    assert "the chat template leaves out tools rows=1" in end.printed
    assert end.record["details"]["tokens"]["left_out"] == {"tools": [1, 0]}
    (rejected,) = end.rows("rejected.jsonl")
    assert (rejected["line"], rejected["rule"]) == (2, "not-written")


def test_a_held_out_row_that_equals_a_dropped_row_stays_held_out(stage: Stage, model: str) -> None:
    short = said("u:Hi", "a:Hi")
    train = stage.file("train.jsonl", lines([*chat_rows(4), short]))
    held_out = stage.file("eval.jsonl", lines([short, chat_rows(6)[5]]))
    end = stage.good("--uri", train, "--eval-uri", held_out, "--min-tokens=40", model=model)
    assert end.record["details"]["rows"] | {"eval": 2, "dropped_overlap": 0} == end.record["details"]["rows"]


def test_secrets_of_the_environment_do_not_reach_reasons_or_previews(
    stage: Stage, model: str, tmp_path: Path
) -> None:
    secret = "hf_AbCdEfGhIjKlMnOp"
    raising = (Path(model) / "chat_template.jinja").read_text()
    raising = "{{ raise_exception(messages[0].content) if 'RAISE' in messages[0].content }}" + raising
    folder = str(with_template(Path(model), tmp_path / "model", raising))
    rows = [said(f"u:RAISE {secret} \u202e", "a:I."), said(f"u:Who? {secret}", "a:I."), {secret: 1}]
    end = whole(stage, rows, "--on-invalid=drop", model=folder, HF_TOKEN=secret)
    assert len(end.lines("rejected.jsonl")) == 2
    cached = stage.workspace / end.record["details"]["tokens"]["path"]
    texts = [
        end.printed,
        *(
            path.read_text()
            for path in [*end.dir.glob("re*"), cached / "facts.json", cached / "left-out.jsonl"]
        ),
    ]
    assert not [text for text in texts if secret in text or "\u202e" in text]


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"model_max_length": "x"}, "tokenizer"),
        ({"chat_template": "{% for m in messages %}{{ m.content }"}, "is not valid Jinja"),
    ],
)
def test_a_model_whose_text_files_are_wrong_is_named_and_not_the_rows(
    stage: Stage, model: str, tmp_path: Path, change: dict[str, str], part: str
) -> None:
    folder = with_template(Path(model), tmp_path / "model", (Path(model) / "chat_template.jinja").read_text())
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(config | change))
    if "chat_template" in change:
        (folder / "chat_template.jinja").write_text(change["chat_template"])
    uri = stage.file("rows.jsonl", lines(chat_rows(3)))
    assert part in stage.run("--uri", uri, model=str(folder)).failed(2)


def test_a_row_that_is_shown_forges_no_line_of_the_log(stage: Stage, model: str) -> None:
    row = said("u:Who?\n2026-01-01T00:00:00Z download done\nError: forged", "a:I.")
    end = whole(stage, [row], "--show-rows=1", model=model)
    assert "  2026-01-01T00:00:00Z download done\n  Error: forged" in end.printed


def test_brackets_of_a_row_are_not_taken_for_what_is_learned(stage: Stage, model: str) -> None:
    end = whole(stage, [said("u:Why [[x]]?", "a:Because.")], "--show-rows=1", model=model)
    assert r"Why \[[x\]]?" in end.printed


def test_a_column_that_no_row_has_is_an_error(stage: Stage, model: str) -> None:
    uri = stage.file("rows.jsonl", lines(chat_rows(3)))
    sentence = stage.run(
        "--uri", uri, '--columns={"messages": "talk", "system": "rules"}', model=model
    ).failed(2)
    assert "talk" in sentence
    row = {"talk": chat_rows(1)[0]["messages"]}
    uri = stage.file("named.jsonl", lines([row]))
    sentence = stage.run(
        "--uri", uri, '--columns={"messages": "talk", "system": "rules"}', run="b", model=model
    )
    assert "none of the 1 rows has the column 'rules'" in sentence.failed(2)
