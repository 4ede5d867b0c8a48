"""Whatever text a value holds, the objects keep their shape and hold exactly that text."""

import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jsonschema
import pytest
import yaml

from tests.chart.rendering import ROOT, Object, overlay, parse, run_helm
from tests.chart.test_null import FILES
from tests.chart.test_schema import SCHEMA, resolved

Path = tuple[str | int, ...]

TEXTS = (
    "x\nhostPID: true", "x\n---\nkind: Pod", "\nx\n\n", "a: b", "a #b", "#", "{{ .Values }}", '"', "'",
    "\"'\\", "- x", "&a", "*a", "!!x y", "%x", "@x", "`x`", " lead", "trail ", "1e3", "0x1", "0o7", "1_000",
    "null", "true", "y", "no", "~", "?", "|", "> x", "[a", "{a", "---", "...", "2001-01-01", "1:30",
    "tab\there", "a\u2028b", "\ufeffa", "é😀", "$(HOME) $$", "\\n", "a" * 300, "-", ".5", "+1", "a,b=c",
)  # fmt: skip
"""Texts that break YAML or change their type where they are not quoted."""
# Objects whose keys are the user's own: a key of them with any text.
OPEN = {"train.scheduler.kwargs", "eval.genKwargs", "eval.modelArgs"}
PREFIX = {
    **dict.fromkeys(("data.uri", "data.evalUri", "model.uri"), "pvc://c/"),
    "eval.baseUrl": "http://h/",
    "data.s3.endpoint": "https://",
    "train.checkpoints.storage": "s3://b/",
    "train.configMap.content": "training_config: {} # ",
}
# Characters that the chart refuses in an address, with a sentence and not by the schema.
ADDRESS = r"[\t\n\f\r ]"
REFUSED = {
    **dict.fromkeys(("data.uri", "data.evalUri", "model.uri", "register.address", "register.uri"), ADDRESS),
    **dict.fromkeys(("train.tracking.mlflow.uri", "train.checkpoints.storage", "eval.baseUrl"), ADDRESS),
    "data.s3.endpoint": r"[\s/?#@]",
    "train.configMap.content": "[\n\r\u2028]",  # ends the comment
}
# Pods of the other stages have what stageDefaults says, so that it shows.
SKIPPED = {"eval.pod", "register.pod", "preflight.pod", "global"}


def texts(schema: Object, path: Path = ()) -> Iterator[tuple[Path, Object]]:
    """Yield every place in the values that takes free text, with its schema."""
    schema = resolved(schema)
    if "enum" in schema or dotted(path) in SKIPPED:
        return
    types = schema.get("type", [])
    if "string" in ([types] if isinstance(types, str) else types):
        yield path, schema
    elif isinstance(schema.get("items"), dict):
        yield from texts(schema["items"], (*path, 0))
    for key, child in schema.get("properties", {}).items():
        yield from texts(child, (*path, key))
    more = next(iter(schema.get("patternProperties", {}).values()), schema.get("additionalProperties"))
    if isinstance(more, dict):
        yield from texts(more, (*path, "k"))
    elif dotted(path) in OPEN:
        yield (*path, "k"), {}


def dotted(path: Path) -> str:
    """Return a path as values name it; numbers and the key of a map are left out."""
    return ".".join(str(part) for part in path if part not in (0, "k"))


LEAVES = list(texts(SCHEMA))
# The same thing can be said in two ways, and only one of them may be used at a time.
EITHER: tuple[set[str], set[str]] = (
    {"secrets.hf.existing", "secrets.s3.existing", "secrets.registry.existing", "secrets.wandb.existing",
     "secrets.mlflow.existing", "register.tls.caSecret", "workspace.storageClass", "data.columns.document",
     "images.registry", "images.repository", "images.tag", "train.configMap.name", "model.uri",
     "model.revision"},
    {"secrets.hf.create.token", "secrets.s3.create.accessKeyId", "secrets.s3.create.secretAccessKey",
     "secrets.s3.create.sessionToken", "secrets.registry.create.token", "secrets.wandb.create.apiKey",
     "secrets.mlflow.create.token", "secrets.mlflow.create.username", "secrets.mlflow.create.password",
     "register.tls.caConfigMap", "workspace.existingClaim", "train.pretraining.documentColumn",
     "train.configMap.content", "model.fromRun",
     *(f"images.{stage}.{key}" for stage in ("download", "train", "eval", "evalVllm", "register")
       for key in ("repository", "tag"))},
)  # fmt: skip
NEUTRAL: Object = {
    "model": {"uri": None, "revision": ""},
    "train": {"pretraining": {"documentColumn": ""}, "configMap": None},
    "data": {"columns": None},
    "secrets": None,
    "images": None,
    "workspace": {"existingClaim": "", "keep": False},
    "register": {"tls": None, "pod": {}},
    "eval": {"pod": {}},
    "preflight": {"pod": {}, "addresses": False, "training": None},
    "queue": {"suspend": False},
    # How many rules there are depends on the addresses; tests/chart/test_network.py looks at them.
    "networkPolicy": {"enabled": False},
}
UNPATCHED = ("priorityClassName", "runtimeClassName", "schedulerName", "topologySpreadConstraints")
"""Options of a pod that an installed runtime decides."""
ADAPTERS: Object = {"method": "lora", "unfreezeRankRatio": None, "targetPatterns": None}
WAYS: dict[str, Object] = {
    "cluster": {},
    "trainjob": {
        "ordering": "hooks",
        "hooks": {"timeoutMinutes": 3000},
        "eval": {"backend": "vllm", "baseUrl": ""},
        "images": {"evalVllm": {"digest": f"sha256:{1:064x}"}},
    },
    "job": {
        "ordering": "hooks",
        "hooks": {"timeoutMinutes": 3000},
        "train": {"runAs": "job", "nodes": 2} | ADAPTERS,
        "model": {"resizeEmbeddings": False},
    },
    "installed": {
        "ordering": "hooks",
        "hooks": {"timeoutMinutes": 3000},
        "train": {"runtimeRef": {"name": "torch-distributed"}, "pod": dict.fromkeys((*UNPATCHED, "retries"))},
        "stageDefaults": dict.fromkeys(UNPATCHED),
    },
}
ONLY_WITH: dict[str, Callable[[Object], bool]] = {
    "eval.baseUrl": lambda values: bool(values["eval"]["backend"] == "openai"),
    "train.runtimeRef.name": lambda values: bool(values["train"].get("runtimeRef")),
    **{
        f"{section}.{key}": lambda values: not values["train"].get("runtimeRef")
        for section in ("stageDefaults", "train.pod")
        for key in UNPATCHED
    },
    "train.targetPatterns": lambda values: bool(values["train"]["method"] == "osft"),
    "train.lora.targetModules": lambda values: bool(values["train"]["method"] == "lora"),
}
"""Texts that the chart refuses where nothing uses them."""


def base(way: str) -> Object:
    """Return values that make every object; every text in them is then replaced."""
    return overlay(yaml.safe_load(FILES[0].read_text()), NEUTRAL, WAYS[way])


def placed(values: Object, path: Path, text: Any) -> None:
    """Put a text at its place."""
    node: Any = values
    for part, following in itertools.pairwise(path):
        empty: Any = [] if isinstance(following, int) else {}
        if isinstance(node, list):
            if not node:
                node.append(empty)
            node = node[0]
        else:
            if not isinstance(node.get(part), type(empty)):
                node[part] = empty
            node = node[part]
    if isinstance(node, list):
        node[:] = [text]
    else:
        node[path[-1]] = text


def allowed(path: Path, schema: Object, text: str) -> bool:
    """Return whether the schema takes a text; Python's `$` would also take a line break before the end."""
    refused = REFUSED.get(dotted(path))
    if ("pattern" in schema and text.endswith("\n")) or (refused and re.search(refused, text)):
        return False
    return jsonschema.Draft7Validator(schema).is_valid(around(path, text))


def around(path: Path, text: str) -> str:
    """Return a text with what its key asks for around it."""
    prefix = "/" if path[-1] == "mountPath" else PREFIX.get(dotted(path), "")
    return f"{prefix}{text}"


def leaves(side: int) -> list[tuple[str, Path, list[str]]]:
    """Return a mark of its own for every place of one side, and the hostile texts that it takes."""
    found = []
    for number, (path, schema) in enumerate(LEAVES):
        mark = f"p{number}x"
        if dotted(path) not in EITHER[1 - side] and allowed(path, schema, mark):
            hostile = [text for text in TEXTS if allowed(path, schema, text)]
            # A dash is this key's own word for none.
            hostile = [text for text in hostile if (dotted(path), text) != ("workspace.storageClass", "-")]
            found.append((mark, path, hostile))
    return found


def rendered(way: str, given: list[tuple[Path, str]], helm: str) -> dict[Path, Any]:
    """Return every value of the rendered objects by its path."""
    values = base(way)
    for path, text in given:
        if ONLY_WITH.get(dotted(path), lambda _: True)(values):
            placed(values, path, around(path, text))
    objects = parse(run_helm(helm, ("template", "run1", str(ROOT / "charts/osft-pipeline")), as_json(values)))
    named = {(thing["kind"], index): thing for index, thing in enumerate(objects)}
    return {
        (str(kind), index, *path): value
        for (kind, index), thing in named.items()
        for path, value in flat(thing)
    }


def as_json(values: Object) -> str:
    """Return JSON for helm's YAML parser, which has no surrogates and reads some characters as line ends."""
    text = json.dumps(values, ensure_ascii=False)
    return text.replace("\u2028", "\\u2028").replace("\ufeff", "\\ufeff")


def flat(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield every scalar with its path, and every empty map or list."""
    if isinstance(value, Mapping) and value:
        for key, child in value.items():
            yield from flat(child, (*path, key))
    elif isinstance(value, list) and value:
        for index, child in enumerate(value):
            yield from flat(child, (*path, index))
    else:
        yield path, value


def forms(text: str) -> list[str]:
    """Return a text as it may stand in a string: alone, in an argument, in JSON, in JSON in an argument."""
    quoted = json.dumps(text, ensure_ascii=False)[1:-1].replace("\u2028", "\\u2028")
    return [text, text.replace("$", "$$"), quoted, quoted.replace("$", "$$")]


def expected(plain: str, chosen: Mapping[str, str]) -> set[str]:
    """Return what may stand where the plain rendering has marks."""
    marks = [mark for mark in re.findall(r"p\d+x", plain) if mark in chosen]
    found = set()
    for form in range(4):
        text = plain
        for mark in marks:
            text = text.replace(mark, forms(chosen[mark])[form])
        found.add(text)
    return found


@pytest.mark.parametrize("side", [0, 1], ids=["existing", "created"])
@pytest.mark.parametrize("way", WAYS)
def test_any_text_leaves_the_objects_their_shape_and_stands_in_them_as_it_is(way: str, side: int) -> None:
    known = leaves(side)
    plain = rendered(way, [(path, mark) for mark, path, _ in known], "helm4")
    rounds = max(len(hostile) for _, _, hostile in known)
    step = list(WAYS).index(way) * 2 + side
    for turn in range(step, rounds, len(WAYS) * 2):
        chosen = {
            mark: hostile[(turn + index) % len(hostile)]
            for index, (mark, _, hostile) in enumerate(known)
            if hostile
        }
        given = [(path, chosen.get(mark, mark)) for mark, path, _ in known]
        found = rendered(way, given, ("helm3", "helm4")[turn // (len(WAYS) * 2) % 2])
        assert set(found) == set(plain), sorted(map(str, set(found) ^ set(plain)))[:5]
        for path, value in plain.items():
            if isinstance(value, str) and re.search(r"p\d+x", value):
                seen = found[path]
                shortened = re.sub(r"-[0-9a-f]{4}$", "", seen) if isinstance(seen, str) else seen
                both = {seen, shortened}
                wanted = expected(value, chosen) | expected(re.sub(r"-[0-9a-f]{4}$", "", value), chosen)
                assert both & wanted, (path, value, seen)
            else:
                assert type(found[path]) is type(value), (path, value, found[path])


def test_every_place_for_a_text_is_looked_at() -> None:
    assert len(LEAVES) > 150
    shown = set()
    for side, way in itertools.product((0, 1), WAYS):
        plain = rendered(way, [(path, mark) for mark, path, _ in leaves(side)], "helm4")
        shown |= {mark for value in plain.values() for mark in re.findall(r"p\d+x", str(value))}
    marks = {f"p{number}x": (path, schema) for number, (path, schema) in enumerate(LEAVES)}
    free = {mark: dotted(path) for mark, (path, schema) in marks.items() if allowed(path, schema, mark)}
    assert not {name for mark, name in free.items() if mark not in shown}
    # What is left takes numbers, amounts and digests only, or is a key and not a value.
    closed = {dotted(path).rpartition(".")[2] for mark, (path, _) in marks.items() if mark not in free}
    assert len(closed) < 32 and "schedulerName" not in closed, closed
