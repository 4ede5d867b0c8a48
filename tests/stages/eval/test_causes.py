"""What a model, a task or a setting makes a library raise ends with exit code 2 and names its cause."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.stages.eval.conftest import Stage, items_of, village_rows, write_tasks
from tests.support.trained_run import make_trained_run, with_template

PLANTED = ("--tasks=planted", "--no-holdout")
TOLD = ("--tasks=told", "--no-holdout")
HELD = ("--tasks=none", "--holdout-generate=1")


def template(text: str) -> Callable[[Path], None]:
    """Give a model another chat template."""

    def change(model: Path) -> None:
        (model / "chat_template.jinja").write_text(text)

    return change


def written(name: str, text: str) -> Callable[[Path], None]:
    """Replace a file of a model."""

    def change(model: Path) -> None:
        (model / name).write_text(text)

    return change


def configured(**values: object) -> Callable[[Path], None]:
    """Change keys of a model's config.json."""

    def change(model: Path) -> None:
        path = model / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    return change


def named_templates(model: Path) -> None:
    """Chat templates by name, none of them the default."""
    (model / "chat_template.jinja").unlink(missing_ok=True)
    (model / "additional_chat_templates").mkdir()
    (model / "additional_chat_templates" / "tool_use.jinja").write_text("{{ messages }}")


def cut_short(model: Path) -> None:
    """Weights that end too soon."""
    path = model / "model.safetensors"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def without_tokenizer(model: Path) -> None:
    """No tokenizer at all."""
    for path in model.glob("*token*"):
        path.unlink()


MODELS = {
    "a template that raises": (
        template("{{ raise_exception('no questions, please') }}"),
        (*PLANTED, "--chat-template"),
        "the chat template of the tuned model cannot write a question (TemplateError: no questions, please).",
    ),
    "a template that makes no sense": (
        template("{% for"),
        (*PLANTED, "--chat-template"),
        "the chat template of the tuned model cannot write a question (TemplateSyntaxError:",
    ),
    "a template that refuses some prompts": (
        template("{% if 'item 3' in messages[-1].content %}{{ raise_exception('not this') }}{% endif %}x"),
        (*PLANTED, "--chat-template"),
        "the tuned model has a chat template that cannot write a prompt of planted (TemplateError: "
        "not this).",
    ),
    "templates by name without a default": (
        named_templates,
        (*PLANTED, "--chat-template"),
        "the chat template of the tuned model cannot write a question (",
    ),
    "an invalid tokenizer": (
        written("tokenizer.json", "{"),
        PLANTED,
        "the tuned model cannot be loaded (",
    ),
    "an invalid tokenizer, for a template": (
        written("tokenizer.json", "{"),
        (*PLANTED, "--chat-template"),
        "the tokenizer of the tuned model cannot be loaded (",
    ),
    "no tokenizer": (without_tokenizer, PLANTED, "the tuned model cannot be loaded ("),
    "a type that no library knows": (
        configured(model_type="village"),
        HELD,
        "/train/model cannot be read (ValueError: ",
    ),
    "a configuration that is not JSON": (
        written("config.json", "{"),
        HELD,
        "config.json of the tuned model is not JSON (",
    ),
    "an invalid shape": (
        configured(num_attention_heads=0),
        PLANTED,
        "the tuned model cannot be loaded (",
    ),
    "weights that end too soon": (cut_short, PLANTED, "the tuned model cannot be loaded (SafetensorError"),
}


def finds(stage: Stage, run_id: str, *args: str) -> str:
    """Return what an evaluation prints that ends with exit code 2 and no traceback."""
    code, printed = stage.run(run_id, *args)
    assert code == 2, printed
    assert "Traceback" not in printed and "This is a bug" not in printed
    return printed.splitlines()[-1]


@pytest.mark.parametrize("kind", MODELS)
def test_a_model_that_cannot_be_used_is_named_with_the_cause(
    stage: Stage, base_model: Path, tmp_path: Path, kind: str
) -> None:
    change, args, seen = MODELS[kind]
    tuned = tmp_path / "model"
    shutil.copytree(base_model, tuned)
    change(tuned)
    items = items_of(4)
    items[3]["question"] = "item 3"
    tasks = write_tasks(tmp_path / "own", items)
    run_id = f"model-{list(MODELS).index(kind)}"
    make_trained_run(stage.workspace, run_id, base=base_model, tuned=tuned, rows=village_rows(4))
    assert seen in finds(stage, run_id, *args, f"--include-path={tasks}")


SETTINGS = {
    "arguments that no generation takes": (
        (*TOLD, '--gen-kwargs={"volume": 11}'),
        "the base model cannot answer told (",
        "Check eval.genKwargs",
    ),
    "a temperature below zero": (
        (*TOLD, '--gen-kwargs={"temperature": -1, "do_sample": true}'),
        "the base model cannot answer told (",
        "Check eval.genKwargs",
    ),
    "an answer longer than the model reads": (
        (*TOLD, '--gen-kwargs={"max_gen_toks": 99999}'),
        "requested max tokens to generate (99999) must be less than",
        "Check eval.genKwargs",
    ),
    "a held-out answer longer than the model reads": (
        (*HELD, "--holdout-max-new-tokens=99999"),
        "the base model cannot answer held-out answers (",
        "eval.holdout.maxNewTokens",
    ),
    "an invalid precision": (
        (*PLANTED, '--model-args={"dtype": "float17"}'),
        "the base model cannot be loaded (",
        "Check eval.modelArgs",
    ),
    "an argument that no model takes": (
        (*PLANTED, '--model-args={"wings": 2}'),
        "the base model cannot be loaded (",
        "Check eval.modelArgs",
    ),
}


@pytest.mark.parametrize("kind", SETTINGS)
def test_a_setting_that_a_library_rejects_is_named(
    stage: Stage, base_model: Path, tmp_path: Path, kind: str
) -> None:
    args, seen, remedy = SETTINGS[kind]
    tasks = write_tasks(tmp_path / "own", items_of(4))
    run_id = f"setting-{list(SETTINGS).index(kind)}"
    make_trained_run(stage.workspace, run_id, base=base_model, tuned=base_model, rows=village_rows(4))
    said = finds(stage, run_id, *args, f"--include-path={tasks}")
    assert seen in said and remedy in said, said


FUNCTIONS = """
def results(doc, results):
    if doc["id"] == "item-3":
        raise ValueError("\\x1b[2J no result \\u202e of this")
    return {"acc": 1.0}

def text(doc):
    return doc["question"] if doc["id"] != "item-3" else doc["query"]

def none(items):
    return "many"
"""
COMMON = (
    "task: broken\ndataset_path: json\ndataset_kwargs: {{data_files: {{test: {data}}}}}\ntest_split: test\n"
    "output_type: multiple_choice\ndoc_to_choice: choices\ndoc_to_target: answer\n"
)
TASKS = {
    "results that raise": (
        "doc_to_text: question\nprocess_results: !function own.results\n"
        "metric_list: [{{metric: acc, aggregation: mean, higher_is_better: true}}]\n",
        "task 'broken' cannot be evaluated (ValueError: \\x1b[2J no result \\u202e of this).",
    ),
    "a template that fits not every item": (
        "doc_to_text: !function own.text\n",
        "task 'broken' cannot be evaluated (KeyError: 'query').",
    ),
    "an aggregation that gives no number": (
        "doc_to_text: question\n"
        "metric_list: [{{metric: acc, aggregation: !function own.none, higher_is_better: true}}]\n",
        "task broken makes many of its items for acc, expected a number.",
    ),
}


@pytest.mark.parametrize("kind", TASKS)
def test_a_task_that_fails_at_an_item_is_named(
    stage: Stage, base_model: Path, tmp_path: Path, kind: str
) -> None:
    text, seen = TASKS[kind]
    tasks = write_tasks(tmp_path / "own", items_of(5))
    (tasks / "own.py").write_text(FUNCTIONS)
    (tasks / "broken.yaml").write_text((COMMON + text).format(data=tasks / "items.jsonl"))
    run_id = f"task-{list(TASKS).index(kind)}"
    make_trained_run(stage.workspace, run_id, base=base_model, tuned=base_model, rows=village_rows(4))
    said = finds(stage, run_id, "--tasks=broken", "--no-holdout", f"--include-path={tasks}")
    assert seen in said, said


def test_a_choice_without_a_token_is_named(stage: Stage, base_model: Path, tmp_path: Path) -> None:
    items = items_of(4)
    items[2]["choices"] = ["a", "b", "c", "apples " * 20_000]
    tasks = write_tasks(tmp_path / "own", items)
    make_trained_run(stage.workspace, "choice", base=base_model, tuned=base_model, rows=village_rows(4))
    assert "the base model cannot score planted (" in finds(
        stage, "choice", *PLANTED, f"--include-path={tasks}"
    )


def test_a_model_without_a_template_is_still_reported(stage: Stage, base_model: Path, tmp_path: Path) -> None:
    tuned = with_template(base_model, tmp_path / "model", None)
    make_trained_run(stage.workspace, "bare", base=base_model, tuned=tuned, rows=village_rows(4))
    said = finds(stage, "bare", "--tasks=osft_verbs", "--limit=2", "--no-holdout", "--chat-template")
    assert "the tuned model has no chat template" in said
