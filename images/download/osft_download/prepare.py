"""Rows to tokens and labels, once for each content: rejected rows known, the split made, all of it cached.

`cache/tokens/<key>/` holds the tokens of both sets and what became of every row. The key is a digest of the
rows in their order, the tokenizer's files and every setting, so runs with the same data share the work.
"""

import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path

from osft_download import encoding, split
from osft_download.prepared import FACTS, ROWS, Prepared, Sets
from osft_rows.settings import Settings
from osft_workspace import Run, digest_json, printable, publish_dir, sha256_file, tree_digest, write_atomic
from osft_workspace.answers import Misfit, parse_json
from osft_workspace.contents import ENCODED, Encoded
from osft_workspace.details import details_of
from osft_workspace.files import check_plain, is_folder, read_digest, read_regular
from osft_workspace.lock import exclusive
from osft_workspace.record import LARGEST, MOST_VALUES
from osft_workspace.shapes import Whole, misfit


def prepare(run: Run, sets: Sets, settings: Settings) -> Prepared:
    """Return the encoded rows, from the cache where an earlier run made them.

    Raises:
        UserError: the tokenizer cannot be loaded or cannot write such rows, or the template does not end.
    """
    key = key_of(sets, settings)
    folder = run.workspace.root / "cache" / "tokens" / key.removeprefix("sha256:")
    folder.parent.mkdir(parents=True, exist_ok=True)
    note = folder.with_suffix(".digest")
    with exclusive(
        folder.with_suffix(".lock"),
        lambda s: run.event("waiting for another start to encode the rows", seconds=round(s)),
    ):
        digest = read_digest(note)
        facts = kept(folder) if digest and is_folder(folder) and tree_digest(folder) == digest else None
        if digest and facts:
            run.event("rows are encoded already", path=folder)
        else:
            staging = folder.with_suffix(".partial")
            check_plain(staging, "where the rows are encoded")
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir()
            encoding.Encoding(run, sets, settings, staging).work()
            digest = tree_digest(staging)
            write_atomic(note, digest)
            publish_dir(staging, folder)
            facts = json.loads((folder / FACTS).read_text())
    return Prepared(folder, digest, facts or {}, (folder / ROWS).read_bytes())


def kept(folder: Path) -> Encoded | None:
    """Return what an earlier run said of its encoded rows, or None where no run of this version wrote it."""
    try:
        facts = parse_json(read_regular(folder / FACTS, "what download keeps of rows", LARGEST), MOST_VALUES)
    except (Misfit, FileNotFoundError):
        return None
    if misfit(facts, Whole(ENCODED)):
        return None
    found: Encoded = details_of(facts, f"the file {printable(folder / FACTS)}", ENCODED)
    return found


def key_of(sets: Sets, settings: Settings) -> str:
    """Digest of everything that decides the tokens."""
    content = hashlib.sha256()
    for _, row in sets.rows():
        content.update(row)
        content.update(b"\n")
    chosen = {name: value for name, value in asdict(settings).items() if name != "model"}
    counts = [len(sets.order), len(sets.held_out.offsets) if sets.held_out else None]
    rules = [sets.fraction, sets.overlap, counts]
    return digest_json([own_code(), content.hexdigest(), tree_digest(Path(settings.model)), chosen, rules])


def own_code() -> str:
    """Digest of the code that encodes: another version may encode otherwise."""
    import osft_rows

    folder = Path(osft_rows.__file__).parent
    files = sorted([*folder.glob("*.py"), Path(encoding.__file__), Path(split.__file__)])
    return digest_json([sha256_file(path) for path in files])
