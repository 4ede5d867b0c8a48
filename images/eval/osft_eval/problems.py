"""What is wrong with the options, as far as it shows before anything heavy is imported."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from osft_eval.options import NAMED, Options
from osft_workspace import UserError, excerpt

GATE_KEYS = ("maxTaskDrop", "tasks", "holdoutMustImprove", "maxEarlierRise", "significance")


def refuse(problems: Sequence[str]) -> None:
    """Raise UserError with every problem, if there is one."""
    if not problems:
        return
    if len(problems) == 1:
        raise UserError(problems[0])
    listed = " ".join(f"({number}) {problem}" for number, problem in enumerate(problems, 1))
    raise UserError(f"{len(problems)} problems of the evaluation: {listed}")


def option_problems(options: Options) -> Iterator[str]:
    """Yield a sentence for each value that is not what its option takes."""
    for which in NAMED:
        if not isinstance(options.model_args.get(which, {}), dict):
            yield f"--model-args has {which!r} as {excerpt(options.model_args[which])}, expected an object."
    if options.batch_size != "auto" and not (options.batch_size.isdigit() and int(options.batch_size) > 0):
        yield f"--batch-size is {options.batch_size!r}, expected `auto` or a whole number above 0."
    if options.backend == "openai" and not options.base_url:
        yield (
            "--backend openai needs the server's address, and --base-url is empty. "
            "Set eval.baseUrl to something like http://server:8000/v1."
        )
    if "@" in options.mlflow_tracking_uri.partition("://")[2].partition("/")[0]:
        yield (
            "--mlflow-tracking-uri (train.tracking.mlflow.uri) holds a user or password, which would be "
            "logged: give them in MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
        )
    if not options.task_names and not options.holdout:
        yield "there is nothing to evaluate: no task and no held-out rows. Set eval.tasks or eval.holdout."
    if options.mix_mode == "fixed" and options.mix_share is None:
        yield "--mix-mode fixed needs a share, and --mix-share is empty. Set eval.mix.share, such as 0.5."
    if options.mix_mode != "fixed" and options.mix_share is not None:
        yield (
            f"--mix-share {options.mix_share:g} is for --mix-mode fixed, and the mode is {options.mix_mode}. "
            "Leave eval.mix.share empty, or set eval.mix.mode to fixed."
        )
    if options.mix_mode == "fixed" and options.backend == "openai":
        yield (
            "--mix-mode fixed makes another model than the one that the server at --base-url has. Set "
            "eval.backend to hf or vllm, or eval.mix.mode to off."
        )
    yield from gate_problems(options.gates)


def gate_problems(rules: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each unknown rule and each limit that is not a number of points."""
    unknown = sorted(set(rules) - set(GATE_KEYS))
    if unknown:
        yield f"--gates has unknown rules {', '.join(unknown)}. Known: {', '.join(GATE_KEYS)}."
    tasks = rules.get("tasks") or {}
    if not isinstance(tasks, dict):
        yield f"--gates tasks is {excerpt(tasks)}, expected an object of task names and points."
        tasks = {}
    for name, value in (("maxTaskDrop", rules.get("maxTaskDrop")), *tasks.items()):
        if value is not None and (not is_number(value) or not 0 <= value <= 100):
            yield f"the gate for {name} is {value!r}, expected points between 0 and 100."
    rise = rules.get("maxEarlierRise")
    if rise is not None and (not is_number(rise) or rise < 0):
        yield f"--gates maxEarlierRise is {rise!r}, expected a rise of the loss from 0 on, such as 0.1."
    level = rules.get("significance")
    if level is not None and (not is_number(level) or not 0 < level < 1):
        yield f"--gates significance is {level!r}, expected a number between 0 and 1 such as 0.05."
    improve = rules.get("holdoutMustImprove", False)
    if improve is not None and not isinstance(improve, bool):
        yield f"--gates holdoutMustImprove is {improve!r}, expected true or false."


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
