"""What each backend is given of an adapter; vLLM itself does not run here."""

from pathlib import Path

import pytest

from osft_eval.weights import Weights
from osft_workspace import UserError

PLAIN = {"r": 8, "bias": "none", "use_dora": False}


@pytest.mark.parametrize(("rank", "room"), [(1, 8), (8, 8), (17, 32), (257, 320), (512, 512)])
def test_vllm_makes_room_for_the_rank_of_the_adapter(rank: int, room: int) -> None:
    weights = Weights(Path("base"), Path("adapter"), {**PLAIN, "r": rank})
    weights.require("vllm")
    assert weights.for_vllm() == {"lora_local_path": "adapter", "max_lora_rank": room}
    assert Weights(Path("model")).for_vllm() == {}


@pytest.mark.parametrize(
    ("facts", "seen"),
    [
        ({"r": 513}, "train.lora.r is 513: vLLM loads"),
        ({"use_dora": True, "bias": "all"}, "lora.useDora is true and train.lora.bias is all: vLLM loads"),
    ],
)
def test_what_vllm_cannot_load_is_refused_where_vllm_is_used(facts: dict[str, object], seen: str) -> None:
    weights = Weights(Path("base"), Path("adapter"), {**PLAIN, **facts})
    for backend in ("vllm", "auto"):
        with pytest.raises(UserError, match=f"eval.backend is {backend}, .*{seen}"):
            weights.require(backend)
    weights.require("hf")
