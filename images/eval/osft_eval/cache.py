"""Results kept part by part: same model, items and settings give the same numbers."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from osft_workspace import Run, digest_json, write_atomic

SCHEMA = "osft-pipeline/kept-result/v1"


def own_code() -> str:
    """Digest of this package's modules: what they measure may change while the version stays."""
    modules = sorted(Path(__file__).parent.glob("*.py"))
    return digest_json([[path.name, path.read_text(encoding="utf-8")] for path in modules])


class Cache:
    """`<folder>/<key>.json`: a file for each task, for the held-out loss and for the generated answers.

    Those of base models serve all later runs; those of a tuned model the next start of its own run.
    """

    def __init__(self, run: Run, folder: Path, common: Mapping[str, Any]) -> None:
        self.run, self.folder, self.common = run, folder, common

    def path_of(self, part: str, content: str) -> tuple[Path, str]:
        key = digest_json([SCHEMA, part, content, self.common])
        return self.folder / f"{key.removeprefix('sha256:')}.json", key

    def get(self, part: str, content: str) -> Any | None:
        """A kept result, or None when there is none or its file is not whole."""
        path, key = self.path_of(part, content)
        try:
            kept = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError:
            self.run.event("kept result is damaged, measuring again", part=part, file=path.name)
            return None
        if not isinstance(kept, dict) or (kept.get("schema"), kept.get("key")) != (SCHEMA, key):
            self.run.event("kept result is damaged, measuring again", part=part, file=path.name)
            return None
        return kept["result"]

    def put(self, part: str, content: str, result: Any) -> None:
        """Keep a result. Two runs that measure the same write the same file, each whole."""
        path, key = self.path_of(part, content)
        value = {"schema": SCHEMA, "key": key, "part": part, "common": self.common, "result": result}
        write_atomic(path, json.dumps(value, ensure_ascii=False) + "\n")
