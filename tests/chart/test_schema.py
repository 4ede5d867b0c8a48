"""values.schema.json and values.yaml say the same, and both say it of every key."""

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import yaml

from tests.chart.prose import comments, nodes, value_of
from tests.chart.rendering import CHART, DATA, Object, overlay, refusal

SCHEMA: Object = json.loads((CHART / "values.schema.json").read_text())
VALUES: Object = yaml.safe_load((CHART / "values.yaml").read_text())
# Objects whose keys are the user's own, or Kubernetes' own.
OPEN = re.compile(
    r"global|train\.scheduler\.kwargs|eval\.(genKwargs|modelArgs|gates\.tasks|benchmarkRevisions)|register\.metadata"
    r"|#resourceList|networkPolicy\.extraEgress\[\]\.(to|ports)\[\]|#labels|#annotations|#pod\.(env|affinity\.\w+|topologySpreadConstraints\[\]|extraVolumes\[\]"
    r"|extraVolumeMounts\[\]|podSecurityContext|securityContext)|#envValue\.valueFrom\.\w+"
)


NODES = dict(nodes(SCHEMA))


def resolved(schema: Object) -> Object:
    """Return a schema with its reference resolved."""
    if "$ref" not in schema:
        return schema
    found: Object = SCHEMA["definitions"][schema["$ref"].removeprefix("#/definitions/")]
    return found


def leaves(values: Object, schema: Object, path: str = "") -> Iterator[str]:
    """Yield paths of the values; fails where values.yaml and the schema list different keys."""
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


def test_every_key_has_a_description() -> None:
    for path, schema in NODES.items():
        assert schema.get("description") or not path or path.endswith("[]"), f"{path} has no description"


def test_every_comment_of_the_values_describes_a_key_of_the_schema() -> None:
    described = {value_of(path): schema.get("description") for path, schema in NODES.items()}
    for path, text in comments().items():
        assert described.get(path) == text, path


def test_every_value_has_a_comment() -> None:
    said = comments()
    for path in leaves(VALUES, SCHEMA):
        assert path in said, f"{path} has no comment"


def validator(schema: Object) -> jsonschema.Draft7Validator:
    """Return a validator for a part of the schema."""
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
        ({"train": {"scheduler": {"name": "cosin"}}}, "/train/scheduler/name"),
        ({"train": {"extraArgs": {"max_steps": 7}}}, "additional properties 'max_steps' not allowed"),
        ({"train": {"extraArgs": {"save_dtype": "int8"}}}, "/train/extraArgs/save_dtype"),
        ({"stageDefaults": {"labels": {"team": "research, nlp"}}}, "/stageDefaults/labels/team"),
        ({"train": {"learningRate": "0.0"}}, "/train/learningRate"),
        ({"train": {"adamw": {"beta1": "1.5"}}}, "/train/adamw/beta1"),
        ({"eval": {"gates": {"maxTaskDrop": "500.5"}}}, "/eval/gates/maxTaskDrop"),
        ({"eval": {"gates": {"significance": "7.5"}}}, "/eval/gates/significance"),
        ({"data": {"timeoutSeconds": "0.0"}}, "/data/timeoutSeconds"),
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
