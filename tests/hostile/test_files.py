"""Paths that lead out of their place, files that no record names, and what is not a file in place of one."""

from pathlib import Path

import pytest

from tests.hostile.runs import (
    CHAT,
    ODD,
    address,
    again,
    changed,
    download,
    evaluate,
    hub,
    instead,
    move_out,
    next_run,
    output,
    pipe,
    put,
    record,
    register,
    run_out,
    to_neighbour,
    token,
    train,
    verify,
)
from tests.hostile.table import Row, check
from tests.support.hub import Repo

OUT, CLOSED = "leads? out of|is a link to", "expected only files that its record.json names"
ADDRESSES = [
    address("pvc://claim//etc/passwd", "pvc://claim//etc/passwd.*nothing between two slashes"),
    address("pvc://claim/../rows.jsonl", r"pvc://claim/\.\./rows.jsonl contains '\.\.'"),
    address("pvc://claim/../rows.jsonl?", r"pvc://claim/\.\./rows.jsonl contains '\.\.'"),
    address("pvc://claim/?/../../rows.jsonl", r"contains '\.\.'"),
    address("pvc://claim/out/rows.jsonl", "pvc://claim/out/rows.jsonl points outside its claim"),
    address("pvc://claim/out/rows.jsonl", "pvc://claim/out/rows.jsonl points outside", key="data.evalUri"),
    address("pvc://claim/?/../../rows.jsonl", r"contains '\.\.'", key="data.evalUri"),
    address("pvc://claim//model", "pvc://claim//model.*nothing between two slashes", key="model.uri"),
    address("pvc://claim/../model?", r"pvc://claim/\.\./model contains '\.\.'", key="model.uri"),
    address("pvc://claim/out/model", "pvc://claim/out/model points outside its claim", key="model.uri"),
    address("/proc/self/environ", "lies in /proc or /sys"),
]
LINKS = [
    changed("a run that is a link out", register, run_out, OUT),
    changed("a run that is a link to another", register, to_neighbour, "run-1/register is a link to"),
    changed("a stage that is a link out, verified", verify, move_out("train"), OUT),
    changed("a stage that is a link out, looked at by download", download, move_out("download"), OUT),
    changed("a cache that is a link out", register, move_out("../../cache"), OUT),
    changed("staged models that are a link out", download, move_out("../../cache/models/.staging"), OUT),
    changed("checkpoints that are a link", train, move_out("train/checkpoints"), "checkpoints is a link"),
    changed("eval's work that is a link", evaluate, move_out("eval/work"), "eval/work is a link, expected"),
    changed("a model that is a link", register, move_out("train/model"), "not a regular file"),
    changed("a file of a model that is a link", verify, move_out("train/model/config.json"), "but a link"),
]
UNNAMED = [
    changed(
        "a chat template, evaluated",
        evaluate,
        put("train/model/chat_template.jinja"),
        f"train holds model/chat_template.jinja, {CLOSED}",
    ),
    changed(
        "a tokenizer's settings, registered",
        register,
        put("train/model/tokenizer_config.json", "{}"),
        f"train holds model/tokenizer_config.json, {CLOSED}",
    ),
    changed(
        "code, verified",
        verify,
        put("train/model/modeling_x.py"),
        "train holds model/modeling_x.py, which its record does not name",
    ),
    changed(
        "a template in a folder, registered",
        register,
        put("train/model/additional_chat_templates/x.jinja"),
        "train holds model/additional_chat_templates/x.jinja",
    ),
    changed(
        "a link, registered",
        register,
        lambda run: (run / "train/model/x.json").symlink_to("/etc/hostname"),
        "train holds model/x.json",
    ),
    changed(
        "a template, taken by a later run",
        next_run,
        put("train/model/chat_template.jinja"),
        f"train holds model/chat_template.jinja, {CLOSED}",
    ),
    changed(
        "seven files, registered",
        register,
        lambda run: [put(f"train/model/{number}.py")(run) for number in range(7)],
        "model/0.py, model/1.py, model/2.py, model/3.py, model/4.py and 2 more",
    ),
]
RECORDS = [
    changed(
        "a model elsewhere",
        register,
        record("eval", lambda values: values["details"]["model"].update(path="../x")),
        r"names model \.\./x",
    ),
    changed("an output with a NUL", verify, output("model/a\0b"), "outputs holds something else than files"),
    changed("an output above", verify, output("model/../../x"), "outputs holds something else than files"),
    changed("an output with a very long name", verify, output("model/" + "x" * 300), "cannot be used"),
    changed(
        "shared folders elsewhere",
        verify,
        record("train", lambda values: values["shared"].update({"/etc": "x"})),
        "shared holds something else than folders",
    ),
    changed(
        "details without what training reads",
        train,
        record("download", lambda values: values["details"].update(tokens={})),
        "lacks 'path' in its details",
    ),
    changed(
        "a record of another run",
        verify,
        record("train", lambda values: values.update(run_id="x\x1b[2K")),
        r"is the record of train of run x\\x1b\[2K, expected",
    ),
]
SPECIAL = [
    *(
        changed(
            f"a {kind} as record", verify, instead(make, "train/record.json"), f"is a {kind}, expected the"
        )
        for kind, make in ODD.items()
    ),
    *(
        changed(
            f"a {kind} as lock", register, instead(make, "register/.lock"), f"is a {kind}, expected the lock"
        )
        for kind, make in ODD.items()
    ),
    *(
        changed(f"a {kind} as token", token(make), lambda run: None, f"is a {kind}, expected a file with the")
        for kind, make in ODD.items()
    ),
    changed(
        "a folder as record", register, instead(Path.mkdir, "train/record.json"), "is a folder, expected"
    ),
    changed("a pipe as results.json", register, instead(pipe, "eval/results.json"), "results.json is not a"),
    changed(
        "a pipe as train.jsonl", train, instead(pipe, "download/train.jsonl"), "train.jsonl is not a regular"
    ),
    changed(
        "a pipe among the checkpoints",
        train,
        instead(pipe, "train/checkpoints/inputs.json"),
        "checkpoints/inputs.json is a pipe, expected only regular files",
    ),
    again(
        "pipes as rows.bin and facts.json", "tokens/*/*", instead(pipe), "download encoding|download done", 0
    ),
    again("a pipe as the note of the tokens", "tokens/*.digest", instead(pipe), "is a pipe, expected a note"),
    again("a pipe as the lock of the tokens", "tokens/*.lock", instead(pipe), "is a pipe, expected a lock"),
    again(
        "a note that names another place",
        "models/.staging/*.digest",
        lambda note: note.write_text("../../.."),
        "download done",
        0,
    ),
]
SAYS = "Error: .*(lists a file named|org/odd)"
NAMES = {
    "above": "../../../x.jsonl",
    "absolute": "/etc/x.jsonl",
    "with backslashes": "data\\..\\x.jsonl",
    "with a NUL": "x\0y.jsonl",
    "too long": "x" * 300 + ".jsonl",
}
HUB = [
    *(
        hub(f"rows {what}", lambda _, name=name: Repo({name: CHAT * 20}), 2, SAYS)
        for what, name in NAMES.items()
    ),
    hub(
        "an ETag with slashes", lambda _: Repo({"train.jsonl": CHAT * 20}, etag="../../x"), 0, "download done"
    ),
    hub(
        "model files above, which nothing reads",
        lambda files: Repo({**files, "../../x.json": b"{}"}),
        0,
        "download done",
        "models",
    ),
    hub(
        "absolute model files",
        lambda files: Repo({**files, "/x.json": b"{}"}),
        2,
        "lists a file named '/x.json', expected a plain path",
        "models",
    ),
    hub(
        "model files with backslashes",
        lambda files: Repo({**files, "a\\..\\x.json": b"{}"}),
        2,
        r"lists a file named 'a\\.*expected a plain path",
        "models",
    ),
]
ROWS = [*ADDRESSES, *LINKS, *UNNAMED, *RECORDS, *SPECIAL, *HUB]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_files(row: Row, tmp_path: Path) -> None:
    check(row, tmp_path)
