"""Results kept part by part: same model, items and settings give the same numbers."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from osft_workspace import Run, digest_json, write_atomic
from osft_workspace.files import read_regular
from osft_workspace.shapes import ANY, Shape, misfit

SCHEMA = "osft-pipeline/kept-result/v2"
LARGEST = 256 << 20  # bytes of one kept result


def own_code() -> str:
    """Digest of this package's modules: what they measure may change while the version stays."""
    here = Path(__file__).parent
    modules = sorted([*here.glob("*.py"), *here.glob("mix/*.py"), *here.glob("tasks/*.py")])
    return digest_json([[path.name, path.read_text(encoding="utf-8")] for path in modules])


def digest_of(result: Any) -> str:
    """Digest of a result, the same before it is written and after it is read."""
    return "sha256:" + hashlib.sha256(json.dumps(result).encode()).hexdigest()


class Cache:
    """`<folder>/<key>.json`: a file for each task, for the held-out loss and for the generated answers.

    Those of base models serve all later runs; those of a tuned model the next start of its own run.
    """

    def __init__(self, run: Run, folder: Path, common: Mapping[str, Any]) -> None:
        self.run, self.folder, self.common = run, folder, common

    def path_of(self, part: str, content: str) -> tuple[Path, str]:
        key = digest_json([SCHEMA, part, content, self.common])
        return self.folder / f"{key.removeprefix('sha256:')}.json", key

    def get(self, part: str, content: str, shape: Shape = ANY, size: int | None = None) -> Any | None:
        """Return a kept result, or None where its file is missing, damaged, changed or of another shape.

        Args:
            shape: of the result.
            size: its number of items; None: any.

        Raises:
            UserError: it is not a regular file.
        """
        path, key = self.path_of(part, content)
        try:
            kept = json.loads(read_regular(path, "a kept result of an evaluation", LARGEST))
            result = kept["result"]
            whole = (kept["schema"], kept["key"], kept["digest"]) == (SCHEMA, key, digest_of(result))
            whole = whole and misfit(result, shape) is None
            if whole and size is not None:
                whole = len(result["items"] if isinstance(result, dict) else result) == size
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError, RecursionError):
            whole = False
        if not whole:
            self.run.event("cached result is damaged or changed, measuring again", part=part, file=path.name)
            return None
        return result

    def put(self, part: str, content: str, result: Any) -> None:
        """Keep a result. Two runs that measure the same write the same file, each whole."""
        path, key = self.path_of(part, content)
        value = {
            "schema": SCHEMA,
            "key": key,
            "digest": digest_of(result),
            "part": part,
            "common": self.common,
            "result": result,
        }
        write_atomic(path, json.dumps(value) + "\n")
