"""A plan never says that less is needed for more, and what it suggests really fits."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osft_plan import change, memory, plan
from osft_plan.memory import GIB
from osft_plan.model import Model
from osft_plan.plan import Limits
from osft_plan.rows import Rows
from osft_plan.training import ADAPTERS, LORA, OSFT, QLORA, SFT, Training

CONFIG = {
    "model_type": "llama",
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "tie_word_embeddings": True,
    "dtype": "bfloat16",
}
MODEL = Model.of_config(CONFIG, "the model")
ROWS = Rows({100: 2000, 700: 1500, 3000: 40}, dropped=17)
METHODS = st.sampled_from([OSFT, SFT, LORA, QLORA])
TRAININGS = st.builds(
    Training,
    method=METHODS,
    ratio=st.floats(0.05, 0.9),
    gpus=st.sampled_from([0, 1, 2, 8]),
    tokens=st.integers(3001, 64000),
    batch=st.integers(1, 256),
    epochs=st.integers(1, 5),
    liger=st.booleans(),
).map(lambda made: replace(made, processes=max(made.gpus, 1)))
LIMITS = st.builds(
    Limits,
    memory=st.none() | st.floats(3, 80).map(lambda gib: gib * GIB),
    hours=st.none() | st.floats(0.05, 2),
)


@given(TRAININGS, st.integers(1, 60000), st.integers(1, 4000))
def test_more_tokens_never_need_less_memory(made: Training, tokens: int, more: int) -> None:
    assert plan.needed(MODEL, made, tokens) <= plan.needed(MODEL, made, tokens + more)


@given(TRAININGS)
def test_more_rows_never_take_less_time(made: Training) -> None:
    more = Rows({**ROWS.lengths, 100: 9000}, dropped=17)
    one, other = (plan.make(MODEL, made, rows, Limits()) for rows in (ROWS, more))
    assert one.seconds <= other.seconds or made.max_steps
    assert one.steps <= other.steps


@given(TRAININGS, LIMITS)
def test_the_smallest_change_fits(made: Training, limits: Limits) -> None:
    before = plan.make(MODEL, made, ROWS, limits)
    if change.misfits(before, limits):
        best = change.smallest(MODEL, before, ROWS, limits)
        if best:
            after = plan.make(MODEL, change.changed(before.training, best), ROWS, limits)
            assert not change.misfits(after, limits), best
            assert after.training.longest <= after.training.tokens or "train.maxTokensPerGpu" not in best


@given(TRAININGS, st.floats(1, 80))
def test_auto_is_the_most_that_fits(made: Training, gib: float) -> None:
    limits, rows = Limits(memory=gib * GIB), made.rows(ROWS)
    auto = plan.make(MODEL, replace(made, tokens=0), ROWS, limits)
    tokens = auto.training.tokens
    assert tokens >= rows.longest
    if auto.memory <= gib * GIB and tokens < made.most_tokens(rows):
        assert plan.needed(MODEL, made, tokens + plan.EVEN) > gib * GIB
    else:
        assert tokens in (rows.longest, made.most_tokens(rows))


def test_a_gpu_that_holds_nothing_gets_no_suggestion() -> None:
    limits = Limits(memory=0.1 * GIB)
    made = plan.make(MODEL, Training(), ROWS, limits)
    assert change.smallest(MODEL, made, ROWS, limits) is None
    assert "raise preflight.training.gpuMemoryGiB" in change.sentence(
        change.misfits(made, limits), None, made
    )


@pytest.mark.parametrize("method", [OSFT, SFT, LORA, QLORA])
def test_the_terms_of_a_method_are_its_own(method: str) -> None:
    terms = memory.terms(MODEL, Training(method=method), 4000)
    held = terms["parameters"] + terms["frozen"]
    base = 2 * MODEL.parameters
    if method in ADAPTERS:
        assert held < 1.1 * base if method == LORA else held < 0.6 * base
        assert terms["gathered"] == 0
    else:
        assert terms["optimizer"] == 2 * terms["parameters"] and held >= 2 * base
        assert (terms["frozen"] > 0) == (method == OSFT)


def test_more_gpus_share_what_is_trained_and_not_the_passes() -> None:
    one, four = (memory.terms(MODEL, Training(gpus=n, processes=n), 4000) for n in (1, 4))
    assert four["optimizer"] == pytest.approx(one["optimizer"] / 4, abs=4)
    assert four["activations"] == one["activations"]


@pytest.mark.parametrize(("config", "millions"), [({}, 1235.8), ({"tie_word_embeddings": False}, 1498.5)])
def test_a_config_alone_counts_the_weights(config: dict[str, bool], millions: float) -> None:
    model = Model.of_config({**CONFIG, **config}, "the model")
    assert model.parameters / 1e6 == pytest.approx(millions, abs=0.1)


def test_rows_beyond_the_length_limit_are_dropped() -> None:
    made = plan.make(MODEL, Training(longest=700), ROWS, Limits())
    assert (made.rows, made.dropped, made.longest) == (2000, 1557, 100)


def test_plain_text_is_planned_in_blocks() -> None:
    made = plan.make(MODEL, Training(block=512, batch=10), ROWS, Limits())
    assert made.longest == 512 and made.rows == -(-ROWS.tokens // 512) and made.dropped == 0


@pytest.mark.parametrize("more", [{}, {"intermediate_size": [64, 96], "num_attention_heads": "many"}])
def test_weights_say_what_an_odd_config_does_not(more: dict[str, object]) -> None:
    shapes = {f"model.layers.{number}.mlp.up_proj.weight": (64, 32) for number in range(3)}
    model = Model.of_shapes(
        {"model_type": "enigma", **more}, {**shapes, "model.embed_tokens.weight": (100, 32)}, 2
    )
    assert (model.layers, model.hidden, model.vocabulary) == (3, 32, 100)
    for method in (OSFT, SFT, LORA, QLORA):
        assert plan.make(model, Training(method=method), ROWS, Limits()).memory > 0
