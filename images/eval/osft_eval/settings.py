"""What a user asked for, checked before anything heavy is imported."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from osft_workspace import UserError, excerpt

RESULTS_SCHEMA = "osft-pipeline/eval-results/v2"
"""Of results.json. An input of the stage, so that results of another version are made again."""
LENGTH_NAMES = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
GATE_KEYS = ("maxTaskDrop", "tasks", "holdoutMustImprove", "significance")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """Rules that the tuned model must pass to go on."""

    max_task_drop: float | None = None
    """Points (hundredths) that any task or group may fall."""
    tasks: Mapping[str, float] = field(default_factory=dict)
    """Points for single tasks or groups, instead of `max_task_drop`."""
    holdout_must_improve: bool = False
    significance: float | None = None
    """With it, a fall counts only when the paired test over all gated tasks finds it at this level."""

    @property
    def rules(self) -> dict[str, Any]:
        """As written in the values."""
        return {
            "maxTaskDrop": self.max_task_drop,
            "tasks": dict(self.tasks),
            "holdoutMustImprove": self.holdout_must_improve,
            "significance": self.significance,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The options of `osft-eval`, parsed."""

    tasks: tuple[str, ...]
    include_path: str
    num_fewshot: int | None
    limit: int
    batch_size: str
    gen_kwargs: dict[str, Any]
    model_args: dict[str, Any]
    backend: str
    base_url: str
    gpus: int
    chat_template: bool
    log_samples: bool
    seed: int
    holdout: bool
    holdout_limit: int
    holdout_generate: int
    holdout_max_new_tokens: int
    gates: Gates
    primary_metric: str
    trust_remote_code: bool

    def args_for(self, which: str) -> dict[str, Any]:
        """Model arguments for `base` or `tuned`: the common ones, then those under its own name."""
        common = {key: value for key, value in self.model_args.items() if key not in ("base", "tuned")}
        return {**common, **self.model_args.get(which, {})}

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


def read_settings(options: Mapping[str, Any]) -> Settings:
    """Turn click's values into settings.

    Raises:
        UserError: values are not what their options take, or contradict each other; all of them at once.
    """
    settings = parse(options)
    refuse([*setting_problems(settings), *gate_problems(options["gates"])])
    return replace(settings, gates=read_gates(options["gates"]))


def parse(options: Mapping[str, Any]) -> Settings:
    """Settings without gates and without a look at what they hold."""
    values = {item.name: options[item.name] for item in fields(Settings) if item.name in options}
    values["tasks"] = tuple(name for name in options["tasks"] if name != "none")
    return Settings(**{**values, "gates": Gates()})


def refuse(problems: Sequence[str]) -> None:
    """Raise UserError with every problem, if there is one."""
    if not problems:
        return
    if len(problems) == 1:
        raise UserError(problems[0])
    listed = " ".join(f"({number}) {problem}" for number, problem in enumerate(problems, 1))
    raise UserError(f"{len(problems)} problems of the evaluation: {listed}")


def setting_problems(settings: Settings) -> Iterator[str]:
    """Yield a sentence for each value that is not what its option takes."""
    for which in ("base", "tuned"):
        if not isinstance(settings.model_args.get(which, {}), dict):
            yield f"--model-args has {which!r} as {excerpt(settings.model_args[which])}, expected an object."
    if settings.batch_size != "auto" and not (settings.batch_size.isdigit() and int(settings.batch_size) > 0):
        yield f"--batch-size is {settings.batch_size!r}, expected `auto` or a whole number above 0."
    if settings.backend == "openai" and not settings.base_url:
        yield (
            "--backend openai needs the server's address, and --base-url is empty. "
            "Set eval.baseUrl to something like http://server:8000/v1."
        )
    if not settings.tasks and not settings.holdout:
        yield "there is nothing to evaluate: no task and no held-out rows. Set eval.tasks or eval.holdout."


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
    level = rules.get("significance")
    if level is not None and (not is_number(level) or not 0 < level < 1):
        yield f"--gates significance is {level!r}, expected a number between 0 and 1 such as 0.05."
    improve = rules.get("holdoutMustImprove", False)
    if improve is not None and not isinstance(improve, bool):
        yield f"--gates holdoutMustImprove is {improve!r}, expected true or false."


def read_gates(rules: Mapping[str, Any]) -> Gates:
    """Gates of rules that have no problem."""
    tasks = rules.get("tasks") or {}
    return Gates(
        max_task_drop=rules.get("maxTaskDrop"),
        tasks={name: points for name, points in tasks.items() if points is not None},
        holdout_must_improve=bool(rules.get("holdoutMustImprove")),
        significance=rules.get("significance"),
    )


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
