"""The options of `osft-eval`."""

from dataclasses import dataclass
from typing import Any, Literal

import click

from osft_workspace.options import Json, Number, Texts, option

LENGTH_NAMES = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")

NAMED = ("base", "tuned", "hf", "vllm")
"""Keys of `--model-args` with arguments of one model or one backend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is measured, and how."""

    tasks: tuple[str, ...] = option(
        ("osft_retention",),
        "lm-eval task, group or pattern; repeat for more. `none`: only held-out rows.",
    )
    include_path: str = option("", "Folder with more lm-eval task files.")
    download_benchmarks: bool = option(
        False,
        "Items of the hub are in the workspace, where the download stage stores them (its --benchmarks), so "
        "--check does not report them as missing.",
        decides=False,
    )
    benchmark_revisions: dict[str, str] = option(
        {},
        "Branch, tag or commit of datasets on the hub, as JSON, as the download stage was given.",
        type=Texts(dict, '{"openai/gsm8k": "main"}'),
    )
    num_fewshot: int | None = option(
        None, "Few-shot examples. Empty: as the task defines.", type=click.IntRange(min=0)
    )
    limit: int = option(0, "Number of items of each task. 0: all.", type=click.IntRange(min=0))
    batch_size: str = option(
        "auto", "Largest number of rows in one forward pass. auto: what fits on the device."
    )
    gen_kwargs: dict[str, Any] = option(
        {},
        'Arguments of every generation, a JSON object such as {"temperature": 0.7}.',
        type=Json(dict, '{"temperature": 0.7}'),
    )
    model_args: dict[str, Any] = option(
        {},
        "Arguments of lm-eval's model, a JSON object; under `base` or `tuned` for that model only, under "
        "`hf` or `vllm` for that backend only.",
        type=Json(dict, '{"dtype": "bfloat16"}'),
    )
    backend: Literal["hf", "vllm", "auto", "openai"] = option(
        "hf", "Backend that runs the models. auto: vllm for what they generate, hf for likelihoods."
    )
    base_url: str = option("", "OpenAI-compatible server, such as http://server:8000/v1 (backend openai).")
    gpus: int = option(1, "GPUs in this container. 0: CPU.", type=click.IntRange(min=0))
    chat_template: bool = option(False, "Write task prompts with the chat template.")
    log_samples: bool = option(True, "Keep every item with both answers, in files and in the report.")
    seed: int = option(42, "Seed of shots and sampling.")
    holdout: bool = option(True, "Measure on the held-out rows.")
    holdout_limit: int = option(0, "Held-out rows used. 0: all.", type=click.IntRange(min=0))
    holdout_generate: int = option(
        50,
        "Held-out rows to generate answers for (text metrics). 0: none.",
        type=click.IntRange(min=0),
    )
    holdout_max_new_tokens: int = option(
        256, "Largest number of tokens of an answer.", type=click.IntRange(min=1)
    )
    mix_mode: Literal["off", "auto", "fixed"] = option(
        "off",
        "Whether a mix of base and tuned model goes on: off, the tuned model; auto, with the share of the "
        "tuned weights that keeps what the base model knew; fixed, with --mix-share.",
    )
    mix_share: float | None = option(
        None, "Share of the tuned weights, for --mix-mode fixed.", type=Number(0, 1, min_open=True)
    )
    mix_tolerance: float = option(
        1.5,
        "Largest drop, in percentage points and with its standard error, that the share may show on the "
        "items that choose it.",
        type=Number(0, 100),
    )
    mix_candidates: int = option(
        6, "Largest number of shares that are measured, the tuned model included.", type=click.IntRange(4, 20)
    )
    gates: dict[str, Any] = option(
        {},
        "Gates that must pass before registration, a JSON object: maxTaskDrop (points), tasks {name: "
        "points}, holdoutMustImprove, maxEarlierRise (nats per token), significance.",
        type=Json(dict, '{"maxTaskDrop": 3}'),
    )
    author: str = option("osft-pipeline", "Author of the run, for the report.", decides=False)
    mlflow_tracking_uri: str = option(
        "",
        "Address of the MLflow server that training sent its steps to. The figures, the report and "
        "results.json are added to the same run. Empty: nothing is sent.",
        decides=False,
    )
    wandb_project: str = option(
        "",
        "Weights & Biases project that training sent its steps to. The figures are added to the summary of "
        "the same run, if the image contains wandb. Empty: nothing is sent.",
        decides=False,
    )
    primary_metric: str = option(
        "",
        "holdout_loss, a task, a group or holdout_exact_match. Empty: held-out loss, otherwise the first "
        "group or task, otherwise exact match.",
    )
    verbosity: str = option(
        "INFO",
        "Log level; the libraries' own messages appear at DEBUG.",
        type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"], case_sensitive=False),
        decides=False,
    )
    trust_remote_code: bool = option(False, "Run code that comes with the model.", is_flag=True)

    @property
    def task_names(self) -> tuple[str, ...]:
        """The tasks without the word for none."""
        return tuple(name for name in self.tasks if name != "none")

    def args_for(self, which: str, engine: str) -> dict[str, Any]:
        """Arguments for `base` or `tuned` in a backend: the common ones, then those under their names."""
        common = {key: value for key, value in self.model_args.items() if key not in NAMED}
        return {**common, **self.model_args.get(engine, {}), **self.model_args.get(which, {})}

    @property
    def engines(self) -> tuple[str, ...]:
        """The backends that may measure a part, in this order."""
        return ("hf", "vllm") if self.backend == "auto" else (self.backend,)

    def engine_for(self, *, generates: bool) -> str:
        """Return the backend that measures what a model generates, or how likely a text is."""
        if self.backend != "auto":
            return self.backend
        return "vllm" if generates else "hf"

    @property
    def can_score(self) -> bool:
        """Whether the backend gives log-probabilities of a given text; a chat endpoint does not."""
        return not (self.backend == "openai" and self.base_url.rstrip("/").endswith("/chat/completions"))

    @property
    def generation(self) -> dict[str, Any]:
        """Arguments for every generation; a temperature without `do_sample` means sampling."""
        given = {key: value for key, value in self.gen_kwargs.items() if key not in LENGTH_NAMES}
        lengths = [self.gen_kwargs[name] for name in LENGTH_NAMES if name in self.gen_kwargs]
        if given.get("temperature") and "do_sample" not in given:
            given["do_sample"] = True
        return {**given, "max_gen_toks": lengths[0]} if lengths else given
