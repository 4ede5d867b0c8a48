"""Open records that were changed, in one process of a stage's environment.

    python -m tests.support.recorded <workspace> <run id> < changes

Each line is a JSON list: the stage whose record is changed, the keys that lead to the value, and the JSON
text to put in its place, or null to remove it. The digests by which records name each other are updated, so
that only the value is wrong. The command of the stage runs after each change. Prints how often each exit code
came and what ended as a bug, as JSON.
"""

import contextlib
import io
import json
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from osft_workspace.command import exit_code_of
from osft_workspace.digests import digest_json, sha256_file

ORDER = ("download", "train", "eval")
MARK = "osft-changed-value"
RESULTS = "results"
"""In place of a stage: the results of eval."""


def place(value: Any, keys: list[Any], text: str | None) -> None:
    """Put a mark in the place of a value, or remove the value."""
    *way, last = keys
    for key in way:
        value = value[key]
    if text is None:
        del value[last]
    else:
        value[last] = MARK


def digest_of(record: dict[str, Any]) -> str:
    """Return the digest of a record as later stages name it, or another text where it has none."""
    try:
        fields = ("stage", "status", "inputs_digest", "outputs", "shared", "details")
        return digest_json([record.get(name) for name in fields])
    except (ValueError, RecursionError):
        return "none"


def changed(run: Path, stage: str, keys: list[Any], text: str | None) -> None:
    """Write the records of a run with one value changed."""
    before = ""
    for name in ORDER:
        path = run / name / "record.json"
        record = json.loads(path.read_text())
        if name == "eval" and stage == RESULTS:
            results = run / name / "results.json"
            values = json.loads(results.read_text())
            place(values, keys, text)
            results.write_text(json.dumps(values).replace(json.dumps(MARK), text or ""))
            entry = next(item for item in record["outputs"] if item["path"] == results.name)
            entry |= {"size": results.stat().st_size, "sha256": sha256_file(results)}
        if before:
            record["needs"] = {ORDER[ORDER.index(name) - 1]: before}
        if name == stage:
            place(record, keys, text)
        written = json.dumps(record).replace(json.dumps(MARK), text or "")
        path.write_text(written)
        with contextlib.suppress(ValueError, RecursionError):
            record = json.loads(written)
        before = digest_of(record)


def main() -> None:
    """Change, run and look, for each line of stdin."""
    from osft_register.cli import main as register

    workspace, run_id = Path(sys.argv[1]), sys.argv[2]
    run = workspace / "runs" / run_id
    whole = {path: path.read_bytes() for path in run.glob("*/*.json")}
    codes: Counter[int] = Counter()
    bugs: list[str] = []
    words = ["--workspace", str(workspace), "--run-id", run_id, "--name=m", "--claim=c"]
    for line in sys.stdin:
        shutil.rmtree(run / "register", ignore_errors=True)
        for path, content in whole.items():
            path.write_bytes(content)
        stage, keys, text = json.loads(line)
        changed(run, stage, keys, text)
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            try:
                register(words, standalone_mode=False)
                code = 0
            except Exception as error:
                code = exit_code_of(error)
        codes[code] += 1
        if code not in (0, 2):
            bugs.append(f"{line}\n{said.getvalue()[-1500:]}")
    print(json.dumps({"codes": codes, "bugs": bugs[:5]}))


if __name__ == "__main__":
    main()
