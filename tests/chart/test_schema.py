"""values.schema.json and values.yaml say the same, and both say it of every key."""

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import yaml

from tests.chart.rendering import CHART, DATA, Object, overlay, refusal

SCHEMA: Object = json.loads((CHART / "values.schema.json").read_text())
VALUES: Object = yaml.safe_load((CHART / "values.yaml").read_text())
# Objects whose keys are the user's own, or Kubernetes' own.
OPEN = re.compile(
    r"train\.scheduler\.kwargs|train\.extraArgs|eval\.(genKwargs|modelArgs|gates\.tasks)|register\.metadata"
    r"|#resourceList|#stringMap|#pod\.(labels|env|affinity\.\w+|topologySpreadConstraints\[\]|extraVolumes\[\]"
    r"|extraVolumeMounts\[\]|podSecurityContext|securityContext)|#envValue\.valueFrom\.\w+"
)


def nodes(schema: Object, path: str = "") -> Iterator[tuple[str, Object]]:
    """Every schema under `properties` and `items`, with its path; definitions start with #."""
    yield path, schema
    for key, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{key}" if path and not path.endswith("#") else path + key)
    if isinstance(schema.get("items"), dict):
        yield from nodes(schema["items"], f"{path}[]")
    for key, child in schema.get("definitions", {}).items():
        yield from nodes(child, f"#{key}")


NODES = dict(nodes(SCHEMA))


def resolved(schema: Object) -> Object:
    """A schema with its reference followed."""
    if "$ref" not in schema:
        return schema
    found: Object = SCHEMA["definitions"][schema["$ref"].removeprefix("#/definitions/")]
    return found


def comments() -> dict[str, str]:
    """The `# --` comment of every key of values.yaml."""
    found: dict[str, str] = {}
    stack: list[str] = []
    text: list[str] = []
    for line in (CHART / "values.yaml").read_text().splitlines():
        if start := re.match(r"\s*# -- (.*)", line):
            text = [start[1]]
        elif (more := re.match(r"\s*# (?!@)(.*)", line)) and text:
            text.append(more[1])
        elif key := re.match(r"( *)(\w+):", line):
            stack = [*stack[: len(key[1]) // 2], key[2]]
            if text:
                found[".".join(stack)] = " ".join(text)
            text = []
    return found


def leaves(values: Object, schema: Object, path: str = "") -> Iterator[str]:
    """Paths of the values; fails where values.yaml and the schema list different keys."""
    assert set(values) == set(schema["properties"]), path or "top level"
    for key, value in values.items():
        here = f"{path}.{key}" if path else key
        child = resolved(schema["properties"][key])
        # A stage's pod lists only what differs from stageDefaults; empty maps are the user's to fill.
        if isinstance(value, dict) and value and "properties" in child and key != "pod":
            yield from leaves(value, child, here)
        else:
            yield here


def test_values_and_schema_have_the_same_keys() -> None:
    assert len(list(leaves(VALUES, SCHEMA))) > 150


def test_every_level_is_closed_or_a_documented_map() -> None:
    for path, schema in NODES.items():
        types = schema.get("type")
        if "$ref" in schema or not (types == "object" or (isinstance(types, list) and "object" in types)):
            continue
        allowed = schema.get("additionalProperties")
        assert allowed is not None, f"{path} says nothing about further keys"
        assert allowed is False or OPEN.fullmatch(path), f"{path} takes any key"


def test_every_key_has_a_description_that_says_what_the_values_file_says() -> None:
    said = comments()
    for path, schema in NODES.items():
        if not path or path.endswith("[]"):
            continue
        assert schema.get("description"), f"{path} has no description"
        value = path.replace("#pod", "stageDefaults")
        if not path.startswith("#") or path.startswith("#pod."):
            assert value not in said or schema["description"] == said[value], path
    for path in said:
        assert path in NODES or path.replace("stageDefaults", "#pod") in NODES, f"{path} is not in the schema"


def test_every_value_has_a_comment() -> None:
    said = comments()
    for path in leaves(VALUES, SCHEMA):
        assert path in said, f"{path} has no comment"


def validator(schema: Object) -> jsonschema.Draft7Validator:
    """A validator for a part of the schema."""
    return jsonschema.Draft7Validator({"definitions": SCHEMA["definitions"], "allOf": [schema]})


EXAMPLES = [
    pytest.param(path, example, id=f"{path}-{index}")
    for path, schema in NODES.items()
    for index, example in enumerate(schema.get("examples", []))
]


@pytest.mark.parametrize(("path", "example"), EXAMPLES)
def test_every_example_in_the_schema_is_valid(path: str, example: Any) -> None:
    schema = NODES[path]
    validator({key: value for key, value in schema.items() if key not in ("definitions", "$ref")}).validate(
        example
    )
    validator(resolved(schema)).validate(example)


def test_there_are_examples_where_a_form_is_not_plain() -> None:
    assert len(EXAMPLES) > 40


def test_the_defaults_are_valid() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    jsonschema.Draft7Validator(SCHEMA).validate(VALUES)


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"model": {"name": "x"}}, "additional properties 'name' not allowed"),
        ({"train": {"pod": {"retrys": 1}}}, "additional properties 'retrys' not allowed"),
        ({"stageDefaults": {"tolerations": [{"keys": "x"}]}}, "additional properties 'keys' not allowed"),
        ({"train": {"unfreezeRankRatio": 1.0}}, "/train/unfreezeRankRatio"),
        ({"train": {"unfreezeRankRatio": 0}}, "/train/unfreezeRankRatio"),
        ({"data": {"trainFraction": 0}}, "/data/trainFraction"),
        ({"data": {"trainFraction": 1.5}}, "/data/trainFraction"),
        ({"data": {"format": "chat"}}, "/data/format"),
        ({"train": {"gpus": "two"}}, "/train/gpus"),
        ({"train": {"targetPatterns": "q_proj,k_proj"}}, "/train/targetPatterns"),
        ({"stageDefaults": {"env": {"A": {"secretKeyRef": {}}}}}, "/stageDefaults/env/A"),
        ({"stageDefaults": {"labels": "a=b,c=d"}}, "/stageDefaults/labels"),
        ({"images": {"train": {"digest": "latest"}}}, "/images/train/digest"),
        ({"ordering": "argo"}, "/ordering"),
        ({"train": None}, "missing propert"),
        ({"stageDefaults": {"labels": {"team": "research, nlp"}}}, "/stageDefaults/labels/team"),
        ({"train": {"learningRate": "0.0"}}, "/train/learningRate"),
        ({"train": {"adamw": {"beta1": "1.5"}}}, "/train/adamw/beta1"),
        ({"eval": {"gates": {"maxTaskDrop": "500.5"}}}, "/eval/gates/maxTaskDrop"),
        ({"eval": {"gates": {"significance": "7.5"}}}, "/eval/gates/significance"),
        ({"data": {"timeoutSeconds": "0.0"}}, "/data/timeoutSeconds"),
        ({"data": {"s3": {"endpoint": "https://key:secret@minio:9000"}}}, "/data/s3/endpoint"),
        ({"register": {"version": 1.1}}, "/register/version"),
        ({"workspace": {"size": "100"}}, "/workspace/size"),
        ({"stageDefaults": {"extraVolumes": [{"name": "tmp"}]}}, "/stageDefaults/extraVolumes/0"),
    ],
)
def test_a_wrong_value_is_refused_with_its_place(values: Object, word: str) -> None:
    for helm in ("helm3", "helm4"):
        assert word in refusal(values, helm=helm)


def test_zero_and_one_and_notation_of_fractions() -> None:
    check = validator(NODES["data.trainFraction"])
    for good in (1, 1.0, 0.001, "1", "1.0", "0.5", ".5", "5e-2"):
        check.validate(good)
    for bad in (0, -0.1, 1.01, "0", "0.0", "1.5", "2", "abc", "", None):
        assert not check.is_valid(bad), bad


def test_the_schema_needs_no_network() -> None:
    text = json.dumps(SCHEMA)
    assert set(re.findall(r'"\$ref": "([^"]*)/', text)) == {"#/definitions"}
    assert overlay(VALUES, DATA)
