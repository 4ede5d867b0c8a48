"""No key does nothing: each changes an object, a pod, an argument or an environment variable."""

import copy
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

from tests.chart.rendering import HOOKS, HelmError, Object, overlay, render
from tests.chart.test_schema import NODES, SCHEMA, VALUES, leaves

FILES = [Path(__file__).parent / "values" / f"everything-{name}.yaml" for name in ("cluster", "hooks")]
"""Together they set nearly every key to another value than its default; each is put back, one by one."""
PLAIN_TEXT: Object = {"train": {"pretraining": {"enabled": True, "blockSize": 8}}}
EARLIER: Object = {"runId": "earlier-run"}
MIX: Object = {"eval": {"mix": {"mode": "fixed", "share": 0.5}}}
INSTALLED: Object = overlay(HOOKS, {"train": {"runtimeRef": {"name": "torch-distributed"}}})
VLLM: Object = {"eval": {"backend": "vllm"}, "images": {"evalVllm": {"tag": "one"}}}
OTHER: dict[str, tuple[Object, Object]] = {
    "data.enabled": (EARLIER, {"data": {"enabled": False}}),
    "data.uri": ({}, {"data": {"uri": "hf://org/other"}}),
    "data.runAs": ({}, {"data": {"runAs": "initContainer"}}),
    "train.enabled": (EARLIER, {"train": {"enabled": False}}),
    "train.method": ({}, {"train": {"method": "sft"}}),
    "train.runtimeRef.name": (INSTALLED, {"train": {"runtimeRef": {"name": "training-hub"}}}),
    **{
        f"train.runtimeRef.{key}": (INSTALLED, {"train": {"runtimeRef": {key: other}}})
        for key, other in (("kind", "TrainingRuntime"), ("patches", "podTemplateOverrides"))
    },
    "train.configMap.content": (
        {"train": {"configMap": {"content": "LoraConfig: {r: 6}"}}},
        {"train": {"configMap": {"content": "LoraConfig: {r: 7}"}}},
    ),
    "train.gpus": ({}, {"train": {"gpus": 2}}),
    "train.pretraining.enabled": ({}, PLAIN_TEXT),
    "train.pretraining.blockSize": (PLAIN_TEXT, {"train": {"pretraining": {"blockSize": 9}}}),
    "train.pretraining.documentColumn": (PLAIN_TEXT, {"train": {"pretraining": {"documentColumn": "body"}}}),
    "train.checkpoints.everyEpoch": ({}, {"train": {"checkpoints": {"everyEpoch": True}}}),
    "eval.enabled": ({}, {"eval": {"enabled": False}}),
    "eval.backend": (VLLM, {"eval": {"backend": "hf"}}),
    **{
        f"images.evalVllm.{key}": (VLLM, {"images": {"evalVllm": {key: other}}})
        for key, other in (("repository", "a.example/b"), ("tag", "two"), ("digest", f"sha256:{1:064x}"))
    },
    "eval.baseUrl": (
        {"eval": {"backend": "openai", "baseUrl": "http://one.example.com/v1"}},
        {"eval": {"baseUrl": "http://two.example.com/v1"}},
    ),
    "eval.mix.share": (MIX, {"eval": {"mix": {"share": 0.25}}}),
    "eval.holdout.enabled": ({}, {"eval": {"holdout": {"enabled": False}}}),
    "register.enabled": ({}, {"register": {"enabled": False}}),
    "register.tls.caConfigMap": (
        {"register": {"address": "https://registry.example.com"}},
        {"register": {"tls": {"caConfigMap": "registry-ca"}}},
    ),
    "ordering": ({}, HOOKS),
    "hooks.timeoutMinutes": (HOOKS, {"hooks": {"timeoutMinutes": 61}}),
    "preflight.enabled": ({}, {"preflight": {"enabled": False}}),
    "networkPolicy.enabled": ({}, {"networkPolicy": {"enabled": False}}),
    "images.registry": ({}, {"images": {"registry": "other.example.com"}}),
    "workspace.accessModes": ({}, {"workspace": {"accessModes": ["ReadWriteMany"]}}),
    "queue.name": ({"queue": {"name": "one"}}, {"queue": {"name": "two"}}),
    **{
        f"secrets.s3.create.{key}": (
            {"secrets": {"s3": {"create": {"accessKeyId": "one", "secretAccessKey": "one"}}}},
            {"secrets": {"s3": {"create": {key: "two"}}}},
        )
        for key in ("accessKeyId", "secretAccessKey")
    },
}
"""Values and what is laid over them, for keys that those files cannot put back alone."""
ELSEWHERE = {
    "enabled": "acts where the chart is a dependency: tests/chart/test_subchart.py",
    "global": "is for other charts",
}
RUN = re.compile(r"run1-[0-9a-f]{8}")
"""The run id, which is a digest of arguments and so changes with each of them."""
MISSING = object()
LONG_ENOUGH = 3
"""Characters of a value that can be looked for."""


def found(values: Object, path: str) -> Any:
    """Return the value at a dotted path, or MISSING."""
    for key in path.split("."):
        values = values.get(key, MISSING) if isinstance(values, dict) else MISSING
    return values


def put_back(values: Object, path: str) -> Object:
    """Return the values with the default at a path."""
    result = copy.deepcopy(values)
    *folders, key = path.split(".")
    place = result
    for name in folders:
        place = place[name]
    place[key] = found(VALUES, path)
    return result


def pairs() -> Iterator[tuple[str, Object, Object]]:
    """Yield every key with two sets of values that differ in it."""
    files: list[Object] = [yaml.safe_load(path.read_text()) for path in FILES]
    for path in leaves(VALUES, SCHEMA):
        if path in ELSEWHERE or len(NODES.get(path, {}).get("enum", "ab")) == 1:  # one value is allowed
            continue
        if path in OTHER:
            values, over = OTHER[path]
            yield path, values, overlay(values, over)
            continue
        setting = [file for file in files if found(file, path) not in (MISSING, found(VALUES, path))]
        assert setting, f"{path} is set by neither file, and OTHER does not know it"
        yield path, setting[0], put_back(setting[0], path)


def objects(values: Object) -> str:
    """Return what helm makes of values."""
    return RUN.sub("run1-digest", json.dumps(render(values), sort_keys=True))


def shows(path: str, values: Object) -> bool:
    """Return whether a value that is like no other stands in what is rendered, and not by default."""
    value = found(values, path)
    if isinstance(value, bool) or not isinstance(value, (str, int, float)) or len(str(value)) < LONG_ENOUGH:
        return False
    word = re.compile(rf"(?<![\w.]){re.escape(str(value))}(?![\w.])")
    others = json.dumps(put_back(values, path))
    return not word.search(others + objects({})) and bool(word.search(objects(values)))


def problem(path: str, before: Object, after: Object) -> str:
    """Return what is wrong with a key, or an empty text."""
    try:
        if path not in OTHER and shows(path, before):
            return ""
        return f"{path} changes nothing" if objects(before) == objects(after) else ""
    except HelmError as error:
        return f"{path}: {error}"


def test_every_key_changes_what_is_rendered() -> None:
    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(lambda pair: problem(*pair), pairs()))
    assert len(told) > 180
    assert [text for text in told if text] == []
