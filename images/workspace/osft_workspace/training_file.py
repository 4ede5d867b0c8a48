"""The file of train.configMap: YAML with Kaito's six sections, as text that names each setting once."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from osft_workspace.exits import UserError
from osft_workspace.files import read_regular
from osft_workspace.text import excerpt, printable
from osft_workspace.training_keys import SECTIONS

LARGEST = 1 << 20  # bytes: what a ConfigMap can hold
TOP = "training_config"


def read(path: Path) -> tuple[str, dict[str, Any]]:
    """Return the digest of a file and its sections. Raises UserError where it is not a mapping of them."""
    what = f"the file of train.configMap, {printable(path)},"
    try:
        content = read_regular(path, "the file of train.configMap", LARGEST)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(
            f"{what} does not exist, expected YAML with {TOP}. Create the ConfigMap train.configMap.name "
            "with the key train.configMap.key, or correct them."
        ) from error
    document = parsed(what, content)
    sections = document.get(TOP, document) if isinstance(document, dict) else None
    if not isinstance(sections, dict) or (sections is not document and len(document) > 1):
        seen = ", ".join(map(str, document)) if isinstance(document, dict) else type(document).__name__
        raise UserError(
            f"{what} holds {excerpt(seen)}, expected one mapping {TOP} with the sections "
            f"{', '.join(SECTIONS)}. Correct it."
        )
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return digest, {str(name): keys for name, keys in sections.items() if keys is not None}


def parsed(what: str, content: bytes) -> Any:
    """Return what YAML says. Raises UserError for other text, aliases, and a key that stands twice."""
    import yaml  # register, which reads no such file, does without

    try:
        # An alias may stand for text of any length.
        aliases = any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(content, yaml.SafeLoader))
        twice = [] if aliases else sorted(set(doubled(yaml.compose(content, yaml.SafeLoader))))
        document = None if aliases else yaml.safe_load(content)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{what} is not YAML ({excerpt(str(error))}). Correct it.") from error
    if aliases or twice:
        seen = "aliases" if aliases else f"{excerpt(', '.join(twice))} twice"
        raise UserError(f"{what} has {seen}, expected each setting once, written in full. Correct it.")
    return document


def doubled(node: Any) -> Iterator[str]:
    """Yield the keys that stand more than once in a mapping of a YAML document; the last would win."""
    import yaml

    if isinstance(node, yaml.MappingNode):
        names = Counter(str(key.value) for key, _ in node.value)
        yield from (name for name, times in names.items() if times > 1)
        for _, value in node.value:
            yield from doubled(value)
