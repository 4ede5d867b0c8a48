"""Scoring answers to one question without reading the question again for each of them.

lm-eval runs a model once for every answer, the question included. Here the question is read once, its keys
and values are kept, and only the answers follow; what all questions start with (a system turn, shots) is
read once for all of them. The output layer runs where an answer stands and nowhere else. On a CPU multiple
choice takes about half the time, memory does not grow with the vocabulary times the context, and the
numbers are the same up to rounding.

A model whose cache or signature does not allow it, or whose scores then differ, is left to lm-eval's own
code. Import this module only when a model is about to be loaded: it needs torch.
"""

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from lm_eval.models.huggingface import HFLM
from transformers import DynamicCache, GenerationConfig
from transformers.cache_utils import DynamicLayer

from osft_workspace import UserError, event

T = TypeVar("T")
Scored = tuple[float, bool]
"""Sum of log-probabilities of a continuation, and whether greedy decoding would have written it."""
Request = tuple[Any, list[int], list[int]]
"""What lm-eval passes: its own key, token ids of the context, token ids of the continuation."""
CPU_TOKENS, GPU_TOKENS = 512, 8192
"""Enough to keep the device busy, few enough for the logits."""
CHECKED = 2
SAME_FP32, SAME_HALF = 0.005, 0.05


class SharedContextLM(HFLM):  # type: ignore[misc]
    """lm-eval's `hf` model with scoring that shares contexts, and greedy generation."""

    shares: bool | None = None
    """Whether this model can; None until it was tried."""
    most_rows: int | None = None
    """Rows scored in one forward pass; None for as many as `tokens` take."""
    tokens: int
    """Tokens of one forward pass, padding included."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tokens = CPU_TOKENS if self.device.type == "cpu" else GPU_TOKENS
        # A model's own max_new_tokens, temperature or penalties would win over what was asked for.
        own = self.model.generation_config
        self.model.generation_config = GenerationConfig(
            bos_token_id=own.bos_token_id, eos_token_id=own.eos_token_id, pad_token_id=own.pad_token_id
        )

    def _loglikelihood_tokens(
        self, requests: list[Request], disable_tqdm: bool = False, override_bs: int | None = None
    ) -> list[Scored]:
        if self.shares is None:
            self.shares = can_share(self) and agrees(self, requests)
        fits = all(len(ctx) + len(cont) <= self.max_length for _, ctx, cont in requests)
        while True:
            try:
                if self.shares and fits:
                    with torch.inference_mode():
                        return Scorer(self).score([(ctx, cont) for _, ctx, cont in requests])
                plain: list[Scored] = super()._loglikelihood_tokens(requests, disable_tqdm, override_bs)
                return plain
            except torch.OutOfMemoryError as error:
                self.shrink(error)

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        while True:
            try:
                answers: list[str] = super().generate_until(requests, disable_tqdm)
                return answers
            except torch.OutOfMemoryError as error:
                self.shrink(error)

    def shrink(self, error: torch.OutOfMemoryError) -> None:
        """Halve what one forward pass takes. Raises UserError when it is one row already."""
        if self.batch_size_per_gpu <= 1:
            raise UserError(
                f"the GPU's memory does not take one row of this model: {error}. Evaluate on more GPUs "
                "(eval.gpus) or on a larger one, or set eval.holdout.limit and eval.tasks to shorter items."
            ) from error
        self.batch_size_per_gpu //= 2
        self.tokens = max(1, self.tokens // 2)
        torch.cuda.empty_cache()
        event("eval", "halved the batch, the GPU's memory was full", rows=self.batch_size_per_gpu)


def can_share(lm: HFLM) -> bool:
    """Return whether the model keeps plain keys and values, and takes what `Scorer.forward` passes."""
    known = inspect.signature(lm.model.forward).parameters
    return (
        lm.backend == "causal"
        and {"logits_to_keep", "position_ids", "past_key_values"} <= set(known)
        and all(type(layer) is DynamicLayer for layer in DynamicCache(config=lm.config).layers)
    )


def agrees(lm: SharedContextLM, requests: Sequence[Request]) -> bool:
    """Return whether a few requests get the same scores from lm-eval's own code."""
    fitting = [request for request in requests if len(request[1]) + len(request[2]) <= lm.max_length]
    few = sorted(fitting, key=lambda request: len(request[2]))[-CHECKED:]
    plain = HFLM._loglikelihood_tokens(lm, few, disable_tqdm=True, override_bs=1)
    with torch.inference_mode():
        shared = Scorer(lm).score([(ctx, cont) for _, ctx, cont in few])
    allowed = SAME_FP32 if lm.model.dtype == torch.float32 else SAME_HALF
    return all(abs(a - b) <= allowed * max(1.0, abs(a)) for (a, _), (b, _) in zip(plain, shared, strict=True))


@dataclass(slots=True)
class Read:
    """What a model keeps of texts it has read."""

    layers: list[tuple[torch.Tensor, torch.Tensor]]
    """Keys and values of each layer, [rows, heads, tokens, width]."""
    mask: torch.Tensor
    """[rows, tokens], 0 where a shorter row was padded."""

    def rows(self, rows: list[int]) -> "Read":
        """Some rows, in this order, as often as they are named."""
        index = torch.tensor(rows, device=self.mask.device)
        return Read([(keys[index], values[index]) for keys, values in self.layers], self.mask[index])


class Scorer:
    """Scores continuations with one loaded model."""

    def __init__(self, lm: SharedContextLM) -> None:
        self.model, self.device = lm.model, lm.device
        self.budget = lm.tokens
        self.most_rows = lm.most_rows or self.budget

    def score(self, pairs: Sequence[tuple[list[int], list[int]]]) -> list[Scored]:
        """Score (context, continuation) pairs of token ids, neither empty, in the order given."""
        by_context: dict[tuple[int, ...], list[int]] = {}
        for index, (context, _) in enumerate(pairs):
            by_context.setdefault(tuple(context), []).append(index)
        contexts = sorted(by_context, key=len)
        common = common_prefix(contexts)
        start = self.forward([contexts[0][:common]], None, [0], [0])[1] if common else None
        scores: list[Scored] = [(0.0, True)] * len(pairs)
        for batch in self.batches(contexts, [len(context) - common for context in contexts]):
            rests = [context[common:] for context in batch]
            past = start.rows([0] * len(batch)) if start else None
            logits, read = self.forward(rests, past, [common] * len(batch), [len(rest) - 1 for rest in rests])
            members = [(row, index) for row, context in enumerate(batch) for index in by_context[context]]
            for row, index in members:
                scores[index] = log_likelihood(logits[row], pairs[index][1][:1])
            longer = [(row, index) for row, index in members if len(pairs[index][1]) > 1]
            lengths = [len(context) for context in batch]
            for index, (more, greedy) in self.rest(pairs, longer, read, lengths):
                scores[index] = (scores[index][0] + more, scores[index][1] and greedy)
        return scores

    def rest(
        self,
        pairs: Sequence[tuple[list[int], list[int]]],
        members: list[tuple[int, int]],
        read: Read,
        lengths: list[int],
    ) -> Iterator[tuple[int, Scored]]:
        """Scores of what follows the first token of each continuation.

        Args:
            members: (row of `read`, index of the pair).
            lengths: tokens of the context in each row of `read`.
        """
        members = sorted(members, key=lambda member: len(pairs[member[1]][1]))
        for batch in self.batches(members, [len(pairs[index][1]) - 1 for _, index in members]):
            rows = [row for row, _ in batch]
            tokens = [pairs[index][1] for _, index in batch]
            starts = [lengths[row] for row in rows]
            logits, _ = self.forward([cont[:-1] for cont in tokens], read.rows(rows), starts, None)
            for (_, index), row_logits, cont in zip(batch, logits, tokens, strict=True):
                yield index, log_likelihood(row_logits[: len(cont) - 1], cont[1:])

    def forward(
        self, rows: Sequence[Sequence[int]], past: Read | None, starts: list[int], at: list[int] | None
    ) -> tuple[torch.Tensor, Read]:
        """Read rows of tokens after `past`.

        Args:
            starts: position of each row's first token.
            at: one token of each row whose logits are wanted; None for all.

        Returns:
            Logits [rows, tokens wanted, vocabulary], and what was read so far.
        """
        width = max(len(row) for row in rows)
        tokens = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows], device=self.device)
        here = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=self.device)
        mask = torch.cat([past.mask, here], dim=1) if past else here
        positions = torch.tensor(starts, device=self.device)[:, None] + torch.arange(
            width, device=self.device
        )
        wanted = sorted(set(at)) if at is not None else list(range(width))
        output = self.model(
            input_ids=tokens,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=DynamicCache(past.layers) if past else None,
            use_cache=True,
            logits_to_keep=torch.tensor(wanted, device=self.device),
        )
        logits = output.logits
        if at is not None:
            picked = torch.tensor([wanted.index(place) for place in at], device=self.device)
            logits = logits[torch.arange(len(rows), device=self.device), picked][:, None]
        layers = [(layer.keys, layer.values) for layer in output.past_key_values.layers]
        return logits, Read(layers, mask)

    def batches(self, items: Sequence[T], lengths: Sequence[int]) -> Iterator[list[T]]:
        """Split items, sorted by length, so that a padded batch stays within the budget."""
        batch: list[T] = []
        for item, length in zip(items, lengths, strict=True):
            if batch and (len(batch) == self.most_rows or (len(batch) + 1) * length > self.budget):
                yield batch
                batch = []
            batch.append(item)
        if batch:
            yield batch


def common_prefix(contexts: Sequence[tuple[int, ...]]) -> int:
    """Return how many first tokens all contexts share, leaving each at least one token of its own."""
    if len(contexts) < 2:
        return 0
    first, last = min(contexts), max(contexts)
    shared = 0
    for a, b in zip(first, last, strict=False):
        if a != b:
            break
        shared += 1
    return min(shared, min(len(context) for context in contexts) - 1)


def log_likelihood(logits: torch.Tensor, tokens: Sequence[int]) -> Scored:
    """Sum of log-probabilities of `tokens` under logits [tokens, vocabulary], and whether greedy; float32."""
    wanted = torch.tensor(tokens, device=logits.device)
    logits = logits.float()
    chosen = logits.gather(1, wanted[:, None]).squeeze(1)
    total = (chosen - logits.logsumexp(dim=1)).sum()
    return float(total), bool((logits.argmax(dim=1) == wanted).all())
