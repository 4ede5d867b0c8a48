"""A model whose requests go through in pieces of like length, so that its work shows progress."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from osft_eval import causes
from osft_workspace import Transient, UserError, excerpt

NO_SCORE = "Check its items, eval.modelArgs and, with eval.backend openai, the server at eval.baseUrl."
NO_ANSWER = (
    "Check eval.genKwargs, eval.holdout.maxNewTokens, the task's generation_kwargs and, with eval.backend "
    "openai, the server at eval.baseUrl."
)
NO_TEMPLATE = "Set eval.chatTemplate to false, or correct the model's chat template (chat_template.jinja)."
PIECES, SMALLEST = 20, 64
"""A part is cut in about so many pieces, none smaller."""


class Meter:
    """Progress over all parts that are measured on one model, counted in their items."""

    def __init__(self, bar: Any, which: str) -> None:
        self.bar, self.which, self.before, self.size, self.name = bar, which, 0, 0, ""

    def start(self, name: str, size: int) -> None:
        """The next part begins: it has so many items."""
        self.before, self.size, self.name = self.before + self.size, size, name

    def named(self, what: str, remedy: str) -> AbstractContextManager[None]:
        """Turn an error of the model's library into a sentence that names model and part."""
        return causes.named(f"the {self.which} model {what} {excerpt(self.name)}", remedy)

    def pieces(
        self, requests: Sequence[Any], call: Callable[..., Sequence[Any]], length: Callable[[Any], Any]
    ) -> list[Any]:
        """Call with one piece of the requests after another, those of like length together.

        Returns:
            The results in the order of the requests.
        """
        order = sorted(range(len(requests)), key=lambda index: length(requests[index]))
        step = max(SMALLEST, -(-len(requests) // PIECES))
        results: list[Any] = [None] * len(requests)
        with servers_errors():
            for start in range(0, len(order), step):
                piece = order[start : start + step]
                found = call([requests[index] for index in piece], disable_tqdm=True)
                # Here, because lm-eval takes the first choice for the likeliest where one is NaN.
                refuse(self.which, self.name, filter(math.isnan, likelihoods(found)))
                for index, result in zip(piece, found, strict=True):
                    results[index] = result
                done = (start + len(piece)) / len(order)
                self.bar.update(self.before + round(self.size * done), part=self.name)
        return results


def likelihoods(results: Sequence[Any]) -> Iterator[float]:
    """Yield the numbers among a model's results: (likelihood, greedy), likelihood or text."""
    for result in results:
        number = result[0] if isinstance(result, tuple) else result
        if isinstance(number, float):
            yield number


def refuse(which: str, part: str, broken: Iterable[float]) -> None:
    """Raise UserError when there is any number that no figure can be made of."""
    for number in broken:
        raise UserError(
            f"the {which} model gives {number} for {part}, expected finite numbers. Look at train's loss "
            "curve for a model that diverged. If it is sound, this precision is too coarse: set "
            'eval.modelArgs to {"dtype": "float32"}.'
        )


def by_context(request: Any) -> tuple[int, str]:
    """Return what puts requests of one context, and of about the same length, one after another."""
    return len(request.args[0]), str(request.args[0])


def watched(inner: Any, meter: Meter) -> Any:
    """Return the same model as lm-eval sees it, with progress."""
    from lm_eval.api.model import LM

    class Watched(LM):  # type: ignore[misc]
        """Passes everything on."""

        tokenizer_name = property(lambda self: inner.tokenizer_name)

        def __getattr__(self, name: str) -> Any:
            return getattr(inner, name)

        def loglikelihood(self, requests: Any) -> Any:
            with meter.named("cannot score", NO_SCORE):
                return meter.pieces(requests, inner.loglikelihood, by_context)

        def loglikelihood_rolling(self, requests: Any) -> Any:
            with meter.named("cannot score", NO_SCORE):
                return meter.pieces(requests, inner.loglikelihood_rolling, by_context)

        def generate_until(self, requests: Any) -> Any:
            with meter.named("cannot answer", NO_ANSWER):
                return meter.pieces(requests, inner.generate_until, by_context)

        def token_likelihoods(self, requests: Any) -> Any:
            """Scores of (context, continuation) in arrays of token ids."""

            def call(piece: list[Any], **options: Any) -> Any:
                return inner._loglikelihood_tokens([(None, list(a), list(b)) for a, b in piece], **options)

            with meter.named("cannot score", NO_SCORE):
                return meter.pieces(requests, call, lambda request: len(request[0]) + len(request[1]))

        def apply_chat_template(self, chat_history: Any, add_generation_prompt: bool = True) -> Any:
            with meter.named("has a chat template that cannot write a prompt of", NO_TEMPLATE):
                return inner.apply_chat_template(chat_history, add_generation_prompt=add_generation_prompt)

    return Watched()


@contextmanager
def servers_errors() -> Iterator[None]:
    """Turn a model server's refusal or absence into a sentence."""
    import aiohttp
    import requests

    try:
        yield
    except (requests.RequestException, aiohttp.ClientError) as error:
        response = getattr(error, "response", None)
        status = int(getattr(response, "status_code", None) or getattr(error, "status", None) or 0)
        words = causes.shown(error)
        if 400 <= status < 500 and status not in (408, 429):
            raise UserError(
                f"the model server answered {status} ({words}). Check eval.baseUrl, the model names in "
                "eval.modelArgs and OPENAI_API_KEY."
            ) from error
        raise Transient(f"the model server is unavailable ({words}). Is it ready at eval.baseUrl?") from error
