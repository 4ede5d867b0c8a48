"""Chat templates that write something else than the rows say, and files that look like templates."""

import json
from pathlib import Path

import pytest

from tests.stages.download.support import Stage, chat, lines
from tests.support.model_folders import TEMPLATE, edit, write_llama

ROWS = lines([chat("Who came?", "Two men."), chat("And then?", "Nobody came.")])
LEGACY = "chat_template.json"
TURN = "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + SAID + '<|im_end|>\n' }}{% endfor %}"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_llama(tmp_path / "model")


def options(stage: Stage) -> list[str]:
    """Return every row trains, in its order, and rejected rows are dropped."""
    return [
        "--uri",
        stage.file("rows.jsonl", ROWS),
        "--train-fraction=1",
        "--no-shuffle",
        "--on-invalid=drop",
    ]


def test_a_template_that_writes_nothing_of_a_chat_is_rejected(stage: Stage, model: Path) -> None:
    (model / "chat_template.jinja").write_text(TURN.replace("SAID", "'Hello.'"))
    error = stage.run(*options(stage), model=str(model)).failed(2)
    assert "its chat template writes the same text for every chat" in error
    assert "model.uri" in error


def test_an_answer_that_the_template_does_not_write_is_rejected_by_name(stage: Stage, model: Path) -> None:
    (model / "chat_template.jinja").write_text(
        TURN.replace("SAID", "(m.content if m.role == 'user' else 'Yes.')")
    )
    end = stage.run(*options(stage), model=str(model))
    assert "does not write the words of message 2 (assistant) as they are" in end.failed(2)
    assert [(row["rule"], row["line"]) for row in end.rows("rejected.jsonl")] == [
        ("not-written", 1),
        ("not-written", 2),
    ]


def test_a_template_file_of_processors_beside_the_tokenizer_is_named(stage: Stage, model: Path) -> None:
    (model / LEGACY).write_text(json.dumps({"chat_template": "{{ messages }}"}))
    end = stage.good(*options(stage), model=str(model))
    assert f"{LEGACY} is not read" in end.printed
    preview = end.record["details"]["tokens"]["preview"][0]
    assert "".join(piece["text"] for piece in preview).startswith("<|im_start|>user\nWho came?")


def test_a_template_file_of_processors_alone_is_named_in_the_message(stage: Stage, model: Path) -> None:
    (model / "chat_template.jinja").rename(model / LEGACY)
    (model / LEGACY).write_text(json.dumps({"chat_template": TEMPLATE}))
    error = stage.run(*options(stage), model=str(model)).failed(2)
    assert "no default chat template" in error
    assert f"{LEGACY}, which transformers reads for processors only" in error


def test_an_architecture_that_is_not_the_one_that_is_built_is_reported(stage: Stage, model: Path) -> None:
    edit(model / "config.json", lambda value: value.update(architectures=["NoSuchModel"]))
    end = stage.good(*options(stage), model=str(model))
    assert 'chose architecture value=LlamaForCausalLM reason="config.json names NoSuchModel' in end.printed
    edit(model / "config.json", lambda value: value.update(architectures=["LlamaForCausalLM"]))
    assert "chose architecture" not in stage.good(*options(stage), run="own", model=str(model)).printed
