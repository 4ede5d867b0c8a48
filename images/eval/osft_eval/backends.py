"""One loaded model as lm-eval knows it: Hugging Face here, vLLM here, or an OpenAI-compatible server."""

import gc
import importlib.util
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from osft_eval.causes import named
from osft_eval.options import Options
from osft_eval.weights import Weights
from osft_workspace import Run, UserError, printable, trust
from osft_workspace.cpus import set_torch_defaults, usable_cpus

CPU_ROWS, GPU_ROWS = 16, 32
"""Rows generated at once; scoring batches by tokens (see `scoring`)."""
FAST_HALF = ("avx512_bf16", "amx_bf16", "bf16")
"""CPU flags (x86, x86, Arm) of hardware that multiplies bfloat16; without it, float32 is much faster."""


def require(options: Options) -> None:
    """Check that the backend can run here. Raise UserError with the remedy otherwise."""
    trust.enforce(trusted=options.trust_remote_code)
    require_installed(options)
    if options.backend in ("hf", "auto") and options.gpus > 0:
        import torch

        if not torch.cuda.is_available():
            raise UserError(
                f"--gpus {options.gpus} asks for a GPU and no CUDA device is visible. "
                "Set eval.gpus to 0 to evaluate on the CPU, or give the pod a GPU."
            )


def require_installed(options: Options) -> None:
    """Raise UserError when the asked backend is not in this image."""
    if options.backend in ("vllm", "auto") and importlib.util.find_spec("vllm") is None:
        raise UserError(
            f"eval.backend is {options.backend} and the eval image does not contain vLLM. Build one that "
            "does (images/eval/README.md) and name it in images.evalVllm, or set eval.backend to hf."
        )


def choose_dtype(run: Run, options: Options) -> str:
    """One precision for both models, so that only the weights differ."""
    given = options.model_args.get("dtype")
    if given:
        return str(given)
    if options.backend == "openai":
        return "as served"
    if options.gpus > 0:
        import torch

        native = torch.cuda.is_bf16_supported(including_emulation=False)
        dtype, can = ("bfloat16", "this GPU has") if native else ("float16", "this GPU has no")
        run.choice("dtype", dtype, f"{can} bfloat16 arithmetic")
        return dtype
    flags = cpu_flags()
    fast = sorted(flags.intersection(FAST_HALF))
    dtype = "bfloat16" if fast else "float32"
    run.choice("dtype", dtype, f"this CPU has {fast[0]}" if fast else "this CPU has no bfloat16 arithmetic")
    return dtype


def cpu_flags() -> set[str]:
    """Return what /proc/cpuinfo says the first core can do; nothing elsewhere than on Linux."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return set()
    lines = (line for line in text.splitlines() if line.lower().startswith(("flags", "features")))
    return set(next(lines, "").partition(":")[2].split())


@contextmanager
def opened(
    run: Run, options: Options, engine: str, which: str, weights: Weights, dtype: str
) -> Iterator[Any]:
    """Load a model in a backend of `OPEN`; give its memory back at the end."""
    title = weights.title or which
    run.event("loading", model=title, backend=engine)
    with named(
        f"the {title} model cannot be loaded",
        f"Check eval.modelArgs and the files in {printable(weights.path)}. A model that is too large for its "
        "GPU needs more of them (eval.gpus).",
    ):
        model = OPEN[engine](options, which, weights, dtype)
    try:
        yield model
    finally:
        release(model)


def open_hf(options: Options, which: str, weights: Weights, dtype: str) -> Any:
    """Return a transformers model on the CPU or on GPUs of this machine."""
    from osft_eval.scoring import SharedContextLM

    cpu = options.gpus == 0
    if cpu and "OMP_NUM_THREADS" not in os.environ:
        import torch

        torch.set_num_threads(usable_cpus())
    auto = options.batch_size == "auto"
    rows = (CPU_ROWS if cpu else GPU_ROWS) if auto else int(options.batch_size)
    arguments = {
        "pretrained": str(weights.folder),
        "dtype": dtype,
        "softmax_dtype": "float32",
        **({"parallelize": True} if options.gpus > 1 else {}),
        **options.args_for(which, "hf"),
        "trust_remote_code": options.trust_remote_code,
    }
    extra = {"batch_size": rows, "device": "cpu" if cpu else "cuda"}
    model: Any = SharedContextLM.create_from_arg_obj(arguments, extra)
    model.most_rows = None if auto else rows
    if weights.adapter:
        from peft import PeftModel

        # Not by lm-eval's argument `peft`, which first cuts embeddings with more rows than the tokenizer has
        # tokens; and without PEFT's wrapper, which hides the arguments that scoring needs.
        model._model = PeftModel.from_pretrained(model.model, weights.adapter).get_base_model()
    return model


def open_vllm(options: Options, which: str, weights: Weights, dtype: str) -> Any:
    """Return a vLLM engine in this container, one GPU or tensor-parallel over several."""
    from lm_eval.models.vllm_causallms import VLLM

    arguments = {
        "pretrained": str(weights.folder),
        **weights.for_vllm(),
        "dtype": dtype,
        "tensor_parallel_size": max(1, options.gpus),
        "gpu_memory_utilization": 0.8,
        "seed": options.seed,
        **options.args_for(which, "vllm"),
        "trust_remote_code": options.trust_remote_code,
    }
    model: Any = VLLM.create_from_arg_obj(arguments, {"batch_size": options.batch_size})
    # lm-eval asks it for a progress bar with batch size auto, and with bars switched off vLLM divides by the
    # time that such a bar has run, which is 0.
    generate = model.model.generate
    model.model.generate = lambda *given, **named: generate(*given, **{**named, "use_tqdm": False})
    return model


def open_openai(options: Options, which: str, weights: Weights, dtype: str) -> Any:
    """A model behind a server, by default named after its folder, as `vllm serve <folder>` names it."""
    from lm_eval.models.openai_completions import LocalChatCompletion, LocalCompletionsAPI

    given = options.args_for(which, "openai")
    url = str(given.pop("base_url", options.base_url)).rstrip("/")
    longest, _ = sizes(weights.folder, trust_remote_code=options.trust_remote_code)
    arguments = {"model": str(weights.path), "seed": options.seed, "max_length": longest, **given}
    batch = 1 if options.batch_size == "auto" else int(options.batch_size)
    if url.endswith("/chat/completions"):
        return LocalChatCompletion.create_from_arg_obj({"base_url": url, **arguments}, {"batch_size": 1})
    tokens = {
        "base_url": url if url.endswith("/completions") else f"{url}/completions",
        "tokenizer_backend": "huggingface",
        "tokenizer": str(weights.folder),
    }
    trusted = {"trust_remote_code": options.trust_remote_code}
    return LocalCompletionsAPI.create_from_arg_obj({**tokens, **arguments, **trusted}, {"batch_size": batch})


OPEN: dict[str, Callable[[Options, str, Weights, str], Any]] = {
    "hf": open_hf,
    "vllm": open_vllm,
    "openai": open_openai,
}


def sizes(folder: Path, *, trust_remote_code: bool) -> tuple[int, int]:
    """Most tokens that the model reads, and how many different ones it knows, from its configuration."""
    from transformers import AutoConfig

    with named(
        f"the configuration of the model in {printable(folder)} cannot be read",
        "Correct config.json there, or run download and train again.",
    ):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code).get_text_config()
        vocabulary = config.vocab_size
    return int(getattr(config, "max_position_embeddings", None) or 2048), int(vocabulary or 0)


def least_sizes(folders: Iterable[tuple[str, Path]], *, trust_remote_code: bool) -> tuple[int, int]:
    """Return as `sizes` what all of some models can take.

    Args:
        folders: title and folder of each.
    """
    found = [sizes(folder, trust_remote_code=trust_remote_code) for _, folder in folders]
    return min(longest for longest, _ in found), min(vocabulary for _, vocabulary in found)


def release(inner: Any) -> None:
    """Give back a model's memory before the next one is loaded."""
    engine = getattr(getattr(inner, "model", None), "llm_engine", None)
    core = getattr(engine, "engine_core", None)
    if core is not None:
        core.shutdown()  # vLLM keeps its GPU memory in its own process
    for name in ("_model", "model"):
        if name in vars(inner):
            delattr(inner, name)
    gc.collect()
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def prepare_environment() -> None:
    """Set what libraries read when they are imported."""
    os.environ["TQDM_DISABLE"] = "1"
    set_torch_defaults(os.environ)


def quiet(verbosity: str) -> None:
    """Hide the libraries' own messages, except at verbosity DEBUG, and their progress bars."""
    level = logging.DEBUG if verbosity == "DEBUG" else logging.ERROR
    import datasets
    import transformers

    os.environ.setdefault("VLLM_LOGGING_LEVEL", logging.getLevelName(level))  # read when it is imported
    for name in ("lm_eval", "transformers", "datasets", "accelerate", "absl"):
        logging.getLogger(name).setLevel(level)
    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity(level)
