"""Models behind a server: what reaches it, and golden numbers for every held-out metric."""

import math
from pathlib import Path

import pytest

from tests.stages.eval.conftest import INST, REFERENCES, Spoken, Stage, golden_rows
from tests.support.trained_run import make_trained_run, with_template


@pytest.fixture(autouse=True)
def ran(spoken: Spoken) -> None:
    assert spoken.code == 0, spoken.printed


def test_held_out_loss_and_perplexity_count_the_answers_tokens_only(stage: Stage, spoken: Spoken) -> None:
    """Every token of an answer, its end included, has a known likelihood; any other would cost 50."""
    holdout = stage.results("served")["holdout"]
    assert holdout["loss"] == {"base": pytest.approx(0.5), "tuned": pytest.approx(0.25)}
    assert holdout["perplexity"]["base"] == pytest.approx(math.exp(0.5))
    assert holdout["perplexity"]["tuned"] == pytest.approx(math.exp(0.25))
    asked = [body for body in spoken.server.bodies if body.get("echo") and body["model"] == "small-base"]
    texts = sorted(spoken.server.text(prompt) for body in asked for prompt in body["prompt"])
    assert texts == sorted(
        f"[INST] Question {at}? [/INST] {text}<|im_end|>" for at, text in enumerate(REFERENCES)
    )


def test_golden_numbers_of_the_text_metrics(stage: Stage) -> None:
    """Computed by hand from the five pairs in conftest.py."""
    holdout = stage.results("served")["holdout"]
    assert holdout["generated"] == 5
    assert holdout["exact_match"] == {"base": pytest.approx(1 / 5), "tuned": pytest.approx(2 / 5)}
    assert holdout["contains"] == {"base": pytest.approx(1 / 5), "tuned": pytest.approx(3 / 5)}
    # Base: whole; nothing shared; birds, sing, the of 5 and 6 words; empty; nothing shared.
    base_f1 = (1 + 0 + 2 * (3 / 5) * (3 / 6) / (3 / 5 + 3 / 6) + 0 + 0) / 5
    # Tuned: whole; whole; 5 of 5 and 6; 2 of 3 and 2; 4 of 5 and 4.
    tuned_f1 = (1 + 1 + 2 * 1 * (5 / 6) / (1 + 5 / 6) + 2 * (2 / 3) * 1 / (2 / 3 + 1) + 2 * 0.8 / 1.8) / 5
    assert holdout["f1"] == {"base": pytest.approx(base_f1), "tuned": pytest.approx(tuned_f1)}
    assert holdout["rouge_l"]["tuned"] == pytest.approx(tuned_f1)
    assert holdout["rouge_l"]["base"] == pytest.approx((1 + 2 * (2 / 5) * (2 / 6) / (2 / 5 + 2 / 6)) / 5)
    # Shared runs of one to four tokens; the base's answers have 22 tokens, the references 26.
    base_bleu = math.exp(1 - 26 / 22) * (10 / 22 * 6 / 18 * 5 / 14 * 4 / 10) ** 0.25
    tuned_bleu = (23 / 28 * 16 / 23 * 9 / 18 * 4 / 13) ** 0.25
    assert holdout["bleu"] == {"base": pytest.approx(base_bleu), "tuned": pytest.approx(tuned_bleu)}


def test_generation_arguments_reach_the_request(spoken: Spoken) -> None:
    told = [body for body in spoken.server.bodies if not body.get("echo")]
    assert {body["path"] for body in told} == {"/v1/completions"}
    assert {(body["temperature"], body["top_p"]) for body in told} == {(0.7, 0.9)}
    # The task's own length, and that of the held-out answers.
    assert {body["max_tokens"] for body in told} == {4, 11}
    assert all("<|im_end|>" in body["stop"] for body in told)


def test_prompts_are_written_with_the_models_own_template(spoken: Spoken) -> None:
    told = [body for body in spoken.server.bodies if not body.get("echo") and body["max_tokens"] == 11]
    texts = {spoken.server.text(prompt) for body in told for prompt in body["prompt"]}
    assert texts == {f"[INST] Question {at}? [/INST]" for at in range(5)}


def test_a_chat_endpoint_is_asked_with_messages_and_gives_no_loss(stage: Stage, spoken: Spoken) -> None:
    before = len(spoken.server.bodies)
    make_trained_run(
        stage.workspace, "chat", base=spoken.model, tuned=spoken.model, rows=golden_rows()
    )  # fmt: skip
    code, printed = stage.run(
        "chat", "--backend=openai", f"--base-url={spoken.server.url}/chat/completions", "--tasks=told",
        f"--include-path={spoken.tasks}", "--chat-template",
        '--model-args={"base": {"model": "small-base"}, "tuned": {"model": "small-tuned"}}',
        '--gates={"holdoutMustImprove": true}',
    )  # fmt: skip
    assert code == 3, printed
    asked = spoken.server.bodies[before:]
    assert {body["path"] for body in asked} == {"/v1/chat/completions"}
    assert {"role": "user", "content": "Question 3?"} in [body["messages"][-1] for body in asked]
    results = stage.results("chat")
    assert results["holdout"]["exact_match"] == {"base": pytest.approx(1 / 5), "tuned": pytest.approx(2 / 5)}
    assert "loss" not in results["holdout"]
    (left_out,) = results["skipped"]
    assert left_out["what"] == "held-out loss"
    assert "cannot be judged: a chat endpoint gives no log-probabilities" in results["gates"]["failures"][0]
    assert results["primary_metric"] == "told"


CHAT = '--model-args={"base": {"model": "small-base"}, "tuned": {"model": "small-tuned"}}'


def test_the_exact_match_stands_for_a_model_that_only_chats(stage: Stage, spoken: Spoken) -> None:
    make_trained_run(stage.workspace, "talk", base=spoken.model, tuned=spoken.model, rows=golden_rows())
    chat = ("--backend=openai", f"--base-url={spoken.server.url}/chat/completions", "--tasks=none", CHAT)
    code, printed = stage.run("talk", *chat, "--holdout-generate=0")
    assert code == 2, printed
    assert "there is nothing to evaluate" in printed
    code, printed = stage.run("talk", *chat)
    assert code == 0, printed
    record = stage.record("talk")
    assert record["details"]["primary_metric"] == "holdout_exact_match"
    assert record["metrics"]["holdout_exact_match_tuned"] == pytest.approx(2 / 5)
    page = (stage.dir("talk") / "report.html").read_text()
    assert "Some answers" in page
    assert "learned most" not in page


def test_nothing_of_a_server_is_kept_for_other_runs(stage: Stage, spoken: Spoken) -> None:
    assert stage.results("served")["engine"]["device"] == "server"
    kept = [path.read_text() for path in (stage.workspace / "cache" / "evals").glob("*.json")]
    assert not any("openai" in text for text in kept)


def test_an_unavailable_server_is_retried_later(stage: Stage, spoken: Spoken) -> None:
    make_trained_run(
        stage.workspace, "away", base=spoken.model, tuned=spoken.model, rows=golden_rows()[:1]
    )  # fmt: skip
    code, printed = stage.run(
        "away", "--backend=openai", "--base-url=http://127.0.0.1:9/v1", "--tasks=none",
        '--model-args={"max_retries": 1}'
    )  # fmt: skip
    assert code == 75, printed
    assert "the model server is unavailable" in printed


def test_a_model_that_the_server_does_not_know_is_the_users_to_fix(stage: Stage, spoken: Spoken) -> None:
    code, printed = stage.run(
        "away", "--backend=openai", f"--base-url={spoken.server.url}", "--tasks=none",
        '--model-args={"max_retries": 1}'
    )  # fmt: skip
    assert code == 2, printed
    assert "the model server answered 404" in printed


TOKEN_ROWS = [{"input_ids": [5, 6, 7, 8, 9, 10], "labels": [-100, 6, 7, -100, -100, 10]}]


def test_a_model_without_a_chat_template_is_reported(
    stage: Stage, base_model: Path, spoken: Spoken, tmp_path: Path
) -> None:
    """Chats never get here without one: download rejects them. Tasks may still need it."""
    bare = with_template(base_model, tmp_path / "bare", None)
    assert INST not in (base_model / "chat_template.jinja").read_text()
    make_trained_run(stage.workspace, "bare", base=bare, tuned=bare, rows=TOKEN_ROWS)
    code, printed = stage.run(
        "bare", "--tasks=told", f"--include-path={spoken.tasks}", "--chat-template"
    )  # fmt: skip
    assert code == 2, printed
    assert "the base model has no chat template" in printed
    assert "set eval.chatTemplate to false" in printed
