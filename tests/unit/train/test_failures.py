"""What is said when the worker fails."""

import pytest

from osft_train.failures import explain

TORCHRUN = [
    "E1121 09:00:00.000000 7 torch/distributed/elastic/multiprocessing/api.py:984] failed (exitcode: 1)",
    "Traceback (most recent call last):",
    "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: ",
    "============================================================",
    "osft_train.worker FAILED",
    "  exitcode  : 1 (pid: 9)",
]


@pytest.mark.parametrize(
    ("lines", "code", "said"),
    [
        (
            ["[rank0]: torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.", *TORCHRUN],
            2,
            "Lower train.maxTokensPerGpu (now 64000)",
        ),
        (
            ["[rank0]: osft_workspace.exits.UserError: /m asks for code. Choose another model.", *TORCHRUN],
            2,
            "/m asks for code. Choose another model. The whole log is",
        ),
        ([*TORCHRUN[:-1], "  exitcode  : -9 (pid: 9)"], 2, "Raise train.pod.resources.limits.memory"),
        (["OSError: [Errno 28] No space left on device", *TORCHRUN], 2, "workspace.size"),
        (
            ["ValueError: Tokenizer has neither pad_token_id nor eos_token_id. Cannot proceed", *TORCHRUN],
            2,
            "Set eos_token in its tokenizer_config.json",
        ),
        (
            [
                "[rank0]: torch._C._LinAlgError: linalg.svd: The algorithm failed to converge because the "
                "input matrix contained non-finite values.",
                *TORCHRUN,
            ],
            2,
            "the base model's weights hold values that are not numbers (NaN or infinite)",
        ),
        (["Error: open /dev/shm/nccl-x: No space left on device"], 2, "Raise train.pod.shmSize"),
        (["torch.distributed.DistNetworkError: the peer is gone", *TORCHRUN], 75, "lost each other"),
        (
            ["\x1b[31m[rank1]: ValueError: no such thing\x1b[0m", *TORCHRUN],
            1,
            "training failed: ValueError: no such thing.",
        ),
        ([*TORCHRUN[:-1], "  exitcode  : -15 (pid: 9)"], 75, "the training processes were stopped"),
        (["one", "", "two"], 1, "training failed: one | two."),
    ],
)
def test_the_cause_is_reported_with_advice_and_the_right_exit_code(
    lines: list[str], code: int, said: str
) -> None:
    error = explain([line + "\n" for line in lines], "/ws/train.log", 64000)
    assert error.exit_code == code
    assert said in error.message
    assert "/ws/train.log" in error.message
