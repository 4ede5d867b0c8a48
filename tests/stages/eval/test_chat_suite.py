"""Generated tasks of the image's own, asked of models with and without a chat template."""

from pathlib import Path

from tests.stages.eval.conftest import Stage, village_rows
from tests.support.trained_run import make_trained_run, with_template


def test_answers_are_generated_as_turns_of_a_chat_and_compared(stage: Stage, base_model: Path) -> None:
    make_trained_run(stage.workspace, "chat", base=base_model, tuned=base_model, rows=village_rows(4))
    code, printed = stage.run("chat", "--tasks=osft_chat", "--no-holdout", "--limit=4")
    assert code == 0, printed
    results = stage.results("chat")
    assert results["groups"]["osft_chat"]["n"] == 8
    assert {task["kind"] for task in results["tasks"].values()} == {"retention"}
    sample = stage.samples("chat", "osft_instructions")[0]
    assert "<|im_start|>user\nWrite a sentence that contains the word river.<|im_end|>" in sample["question"]
    assert sample["question"].endswith("<|im_start|>assistant\n")
    assert isinstance(sample["base"]["answer"], str) and sample["base"]["score"] in (0.0, 1.0)


def test_a_model_without_a_chat_template_is_named(stage: Stage, base_model: Path, tmp_path: Path) -> None:
    bare = with_template(base_model, tmp_path / "bare", None)
    make_trained_run(stage.workspace, "bare", base=base_model, tuned=bare, rows=village_rows(4))
    code, printed = stage.run("bare", "--tasks=osft_turns", "--no-holdout", "--limit=1")
    assert code == 2, printed
    assert "the tuned model has no chat template" in printed
    assert "leave tasks that ask chats (osft_chat) out of eval.tasks" in printed
