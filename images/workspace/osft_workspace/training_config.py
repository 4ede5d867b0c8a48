"""Settings of a training_config.yaml, as Kaito's tuning reads it, under the options that are given.

An option on the command line or in the environment wins over the file, and the file over the default.
"""

import difflib
import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from osft_workspace import log, training_file
from osft_workspace.exits import UserError
from osft_workspace.options import LAYER, Command
from osft_workspace.redact import redact_text
from osft_workspace.stage import Run
from osft_workspace.text import excerpt
from osft_workspace.training_keys import ACCUMULATED, KEYS, PER_DEVICE, SECTIONS, Key, Unfit, Without
from osft_workspace.training_reasons import WITHOUT

DIGEST = "osft_workspace.training_config.digest"
GIVEN = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)
Json = dict[str, Any]
OfMethods = Mapping[str, tuple[str, ...]]


def training_config_option(stage: str, of_methods: OfMethods | None = None) -> Callable[[Command], Command]:
    """Add `--training-config`, whose settings take the place of the defaults of a stage.

    Args:
        of_methods: beginnings of the names of options that only some methods have, and those methods.
    """

    def keep(context: click.Context, _: click.Parameter, path: Path | None) -> None:
        if path is not None:
            context.meta[LAYER] = partial(merged, context, stage, path, of_methods or {})

    return click.option(
        "--training-config",
        type=click.Path(path_type=Path),
        envvar="OSFT_TRAINING_CONFIG",
        show_envvar=True,
        expose_value=False,
        callback=keep,
        help="YAML file with the sections of Kaito's tuning, such as LoraConfig. Options that are given win "
        "over it.",
    )


def note(run: Run) -> None:
    """Keep the digest of the file in the record, if there is one."""
    digest = click.get_current_context().meta.get(DIGEST)
    if digest:
        run.choice("training_config", digest, "train.configMap sets what the values leave at its default")


def merged(context: click.Context, stage: str, path: Path, of_methods: OfMethods, own: Json) -> Json:
    """Return a stage's options; those that are not given are taken from the file, where it sets them.

    Raises:
        UserError: with every problem of the file.
    """
    context.meta[DIGEST], sections = training_file.read(path)
    found = checked(context, stage, sections, own)
    if stage == "train":
        report_idle(sections)
        if "effective_batch_size" in found:
            found["effective_batch_size"] = rows_of_a_step(sections["TrainingArguments"], own)
        if sections.get("LoraConfig"):
            found.setdefault("method", "lora")
    given = {name for name in found if context.get_parameter_source(name) in GIVEN}
    won = {name: own[name] for name in found if name in given and not isinstance(own[name], dict)}
    method = won.get("method") or found.get("method")
    idle = [
        name
        for name in found
        for begin, of in of_methods.items()
        if name.startswith(begin) and method not in of
    ]
    used = {name: value for name, value in found.items() if name not in won and name not in idle}
    log.event(stage, "train.configMap sets options", **used)
    if won:
        log.event(stage, "values win over train.configMap", **won)
    if idle:
        log.event(
            stage, "without effect in train.configMap", options=",".join(idle), method=method or own["method"]
        )
    both = {name: {**used[name], **own[name]} for name in used if name in given}
    return own | used | both


def checked(context: click.Context, stage: str, sections: Json, own: Json) -> Json:
    """Return what the file sets of a stage's options. Raises UserError with every problem of the file."""
    problems = [problem for each in sections.items() for problem in section_problems(*each, own)]
    found: Json = {}
    for section, name, value, key in settings(sections):
        problem = take(found, f"{section}.{name}", value, key, context if key.stage == stage else None)
        problems += [problem] if problem else []
    arguments = sections.get("TrainingArguments")
    if isinstance(arguments, dict) and ACCUMULATED in arguments and PER_DEVICE not in arguments:
        problems.append(f"TrainingArguments (train.configMap) has {ACCUMULATED}: give {PER_DEVICE} too.")
    if problems:
        raise UserError(" ".join(problems))
    return found


def section_problems(section: str, keys: Any, own: Json) -> Iterator[str]:
    """Yield what is wrong with a section, its names, and values that have no counterpart here."""
    if section not in SECTIONS:
        expected = f"{', '.join(SECTIONS)}{near(section, SECTIONS)}"
        yield f"train.configMap has the section {excerpt(section)}, expected {expected}. Correct it."
        return
    if not isinstance(keys, dict):
        yield f"{section} (train.configMap) is {excerpt(str(keys))}, expected a mapping of keys to values."
        return
    known = (*KEYS[section], *WITHOUT[section])
    for name, value in keys.items():
        at = f"{section}.{excerpt(str(name))} (train.configMap)"
        idle = WITHOUT[section].get(name)
        if name not in known:
            homes = [each for each in SECTIONS if name in KEYS[each] or name in WITHOUT[each]]
            have = "have" if len(homes) > 1 else "has"
            hint = f"; {' and '.join(homes)} {have} it" if homes else near(str(name), known)
            yield f"{at} is not a key of {section}{hint}. Correct or remove it."
        elif idle and value is not None and not (changes_nothing(idle, value) or own.get(name) is True):
            seen = "not supported" if "token" in name else shown(value)
            yield f"{at} is {seen}: {idle.reason}. Remove it from the ConfigMap."


def near(name: str, known: tuple[str, ...]) -> str:
    """Return the names that are close to one, as the end of a sentence; empty without any."""
    found = difflib.get_close_matches(name, known, n=3)
    return f" (did you mean {' or '.join(found)}?)" if found else ""


def changes_nothing(key: Without, value: Any) -> bool:
    """Return whether a value is one that needs no counterpart."""
    return key.harmless is None or str(value).lower() in key.harmless


def settings(sections: Json) -> Iterator[tuple[str, str, Any, Key]]:
    """Yield section, name, value and key of each setting that has a counterpart."""
    for section, keys in sections.items():
        for name, value in keys.items() if isinstance(keys, dict) else ():
            key = KEYS.get(section, {}).get(name)
            if key and value is not None:
                yield section, name, value, key


def take(found: Json, at: str, value: Any, key: Key, context: click.Context | None) -> str:
    """Put what an option takes for a value under its name.

    Args:
        context: of the command that has the option; None: only look at the value.

    Returns:
        Why it takes none, as a sentence.
    """
    try:
        taken = key.read(value)
        if context and key.part:
            found[key.option] = {**found.get(key.option, {}), key.part: taken}
        elif context and taken is not None:
            parameter = next(each for each in context.command.params if each.name == key.option)
            found[key.option] = parameter.type.convert(written(taken), parameter, context)
    except (Unfit, click.BadParameter) as error:
        why = error.message if isinstance(error, click.BadParameter) else str(error)
        return f"{at} (train.configMap, for {key.value}) is {shown(value)}: {why.rstrip('.')}. Correct it."
    return ""


def written(value: Any) -> str:
    """Return a value as a command line gives it."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def shown(value: Any) -> str:
    """Return a value as a sentence may show it."""
    return excerpt(redact_text(written(value)))


def rows_of_a_step(arguments: Json, own: Json) -> int:
    """Return the rows of a step over all processes: the file has those of one process and one pass."""
    wanted = str(own["nproc_per_node"])
    processes = int(wanted) if wanted.isdigit() else max(own["gpus"], 1)
    one = KEYS["TrainingArguments"][PER_DEVICE].read(arguments[PER_DEVICE])
    return int(one * int(arguments.get(ACCUMULATED) or 1) * own["nnodes"] * processes)


def report_idle(sections: Json) -> None:
    """Log the keys that have no effect here, with the reason."""
    reasons: dict[str, list[str]] = {}
    for section, keys in sections.items():
        for name in keys:
            if name in WITHOUT[section]:
                reasons.setdefault(WITHOUT[section][name].reason, []).append(f"{section}.{name}")
    for reason, names in reasons.items():
        log.event("train", "without effect in train.configMap", keys=",".join(names), reason=reason)
