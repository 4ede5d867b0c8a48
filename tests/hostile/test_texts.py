"""Texts from outside: characters that act, and secrets in every place where they can stand."""

import json
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from osft_workspace.asked import asked_query
from osft_workspace.signing import MAY_SIGN, SIGNS
from osft_workspace.text import is_shown
from tests.fuzz.answers import Answers
from tests.hostile.table import CHART, PLANTED, Bench, Row, check
from tests.support.eval_results import Task
from tests.support.sandbox import SECRETS
from tests.support.stages import write_hollow_model
from tests.support.tuned_run import TASKS, make_tuned_run

ACTING = "\x1b[2J\x1b]0;t\x07\r\n2026-01-01T00:00:00Z register done \u202e\u2066\u2028\x9b31m"
SERVERS = Answers()


def uri(text: str, says: str, *, key: str = "--uri", stage: str = "download", code: int = 2) -> Row:
    """Return an address, as it is typed."""

    def arrange(bench: Bench) -> list[str]:
        rows = [] if key == "--uri" else [f"--uri={bench.file('rows.jsonl', b'{}')}"]
        return bench.stage("download", f"{key}={text}", *rows)

    return Row(f"{key}={text!a}".replace(PLANTED, "PW"), arrange, code, says)


def registry(text: str, says: str) -> Row:
    """Return the address of a registry, as it is typed."""
    name = f"registry {text!a}".replace(PLANTED, "PW")
    return Row(name, lambda bench: bench.stage("register", f"--address={text}"), 2, says)


def helm(key: str, text: str) -> Row:
    """Return a value of the chart that holds a credential."""
    says = rf"{key} carries a credential, .*not repeated here\. Expected .* Set the credential with secrets"
    name = f"helm {key}={text!a}".replace(PLANTED, "PW")
    return Row(name, lambda bench: bench.helm(f"--set-literal={key}={text}"), 1, says)


def rows(name: str, file: str, content: str, says: str, code: int = 2) -> Row:
    """Return a file of rows beside a model, and what is said of it."""

    def arrange(bench: Bench) -> list[str]:
        path = bench.file(file, content.encode("utf-8", "surrogateescape"))
        model = write_hollow_model(bench.base / "model")
        return bench.stage("download", f"--uri={path}", f"--model-uri={model}", "--on-invalid=fail")

    return Row(name, arrange, code, says)


def answer(name: str, status: str, body: str, says: str, code: int, headers: str = "") -> Row:
    """Return what a registry answers to everything; the run before it is whole."""

    def arrange(bench: Bench) -> list[str]:
        make_tuned_run(bench.workspace, "run-1")
        data = f"HTTP/1.1 {status}\r\n{headers}Content-Type: application/json\r\n\r\n{body}".encode()
        url = bench.closing.enter_context(SERVERS.giving(data))
        return bench.stage("register", f"--address={url}", "--claim=c", "--timeout-seconds=5")

    return Row(f"registry says {name}", arrange, code, says)


def option(stage: str, word: str, says: str) -> Row:
    """Return an option of a stage with a text that acts."""
    return Row(f"{stage} {ascii(word)[:60]}", lambda bench: bench.stage(stage, word), 2, says)


DOWNLOAD = [
    uri(f"ftp://user:{PLANTED}@host/rows", "unsupported scheme ftp:// in ftp://host/rows"),
    uri(f"ftp:/user:{PLANTED}@host/rows", r"expected|Expected hf://<org>/<name>\[@revision\]"),
    uri(f"ftp://user:a/{PLANTED}@host.example/rows", "in ftp://host.example/rows"),
    uri(f"ftp://user:a?b#{PLANTED}@host.example/rows", "in ftp://host.example/rows"),
    uri(f"ftp://user:a {PLANTED}@host.example/rows", "in ftp://host.example/rows"),
    uri(f"ftp://me@corp.example:{PLANTED}@host.example/rows", "in ftp://host.example/rows"),
    uri(f"ftp://host/rows?token={PLANTED}", "in ftp://host/rows"),
    uri(f"ftp://host/rows;jsessionid={PLANTED}", "in ftp://host/rows"),
    uri(f"user:{PLANTED}@host/rows", "holds a user or a token before the name"),
    uri(f"//user:{PLANTED}@host/rows", "Error: "),
    uri(f"hf://user:{PLANTED}@org/name", "holds a user or a token before the name"),
    uri(f"hf://{PLANTED}@org/name", "holds a user or a token before the name"),
    uri(f"org/name?token={PLANTED}", "not a supported address"),
    uri(f"s3://ID:{PLANTED}@bucket/rows", "holds more than a bucket"),
    uri(f"hf://user:{PLANTED}@org/name", "holds a user or a token", key="--model-uri"),
    uri(f"hf://org/{ACTING}", r"'hf://org/\\x1b\[2J.*\\u202e\\u2066\\u2028\\x9b31m' is not a supported"),
    rows("a name that acts", "a\x1b[31m\nb\u202e.jsonl", '{"a": 1', r"a\\x1b\[31m\\nb\\u202e.jsonl"),
    rows("a name that is not UTF-8", "a\udcff.jsonl", '{"a": 1', r"a\\+(xff|udcff).jsonl.*not UTF-8"),
    rows("a key that acts", "a.jsonl", json.dumps({ACTING: 1}), "a.jsonl"),
    rows("our secrets in a row", "a.jsonl", json.dumps({SECRETS["HF_TOKEN"]: SECRETS}), "a.jsonl"),
    rows("a secret in an address in a row", "a.jsonl", json.dumps({f"https://u:{PLANTED}@h": 1}), "a.jsonl"),
    rows("a page that acts", "a.txt", f"<{ACTING}", "is a web page"),
    option("download", f"--format={ACTING}", r"Error: .*\\x1b\[2J"),
    option("train", f"--learning-rate={ACTING}", r"Error: .*\\x1b\[2J"),
    option("eval", f"--tasks-{ACTING}=1", r"Error: .*\\x1b\[2J"),
]  # fmt: skip
REGISTER = [
    registry(f"http://user:{PLANTED}@registry", "http://registry has more than a host, a port and a path"),
    registry(f"user:{PLANTED}@registry:8080", "registry:8080 has more than a host"),
    registry(f"http://user:a/{PLANTED}@registry.example", "is not a registry address"),
    registry(f"http://registry?token={PLANTED}", "http://registry has more than a host"),
    registry(f"ftp://user:{PLANTED}@registry", "'ftp://registry' is not a registry address"),
    registry(f"registry{ACTING}", r"Error: .*\\x1b\[2J"),
    option("register", f"--name=a{ACTING}", r"register.name is .*\\x1b\[2J.*no line breaks"),
    option("register", f"--metadata={json.dumps({ACTING: 1})}",
           r"register.metadata holds '\\x1b\[2J.*printable characters"),
    answer("characters that act", "400 Bad", json.dumps({"message": ACTING}),
           r"refused a value \(400\): .*\\x1b", 2),
    answer("a password in an address", "400 Bad", json.dumps({"message": f"at https://u:{PLANTED}@h/x"}),
           "at https://h/x", 2),
    answer("our token", "400 Bad", json.dumps({"message": f"{SECRETS['OSFT_REGISTRY_TOKEN']}"}),
           "<OSFT_REGISTRY_TOKEN>", 2),
    answer("a parameter that signs", "400 Bad", json.dumps({"message": f"seen x&sig={PLANTED} there"}),
           r"seen x&sig=\.\.\. there", 2),
    answer("a redirect with a password", "302 Found", "", "Error: ", 2,
           f"Location: https://u:{PLANTED}@h/x?sig=1\r\n"),
    answer("an id that acts", "200 OK", json.dumps({"items": [], "id": ACTING, "name": "osft-model"}),
           "Error: ", 2),
]  # fmt: skip
HELM = [
    *(helm(key, f"https://user:{PLANTED}@h/a") for key in
      ("data.uri", "data.evalUri", "model.uri", "register.address", "register.uri", "data.s3.endpoint")),
    helm("eval.baseUrl", f"ftp://user:{PLANTED}@h/a"),
    helm("data.uri", f"https://user:a {PLANTED}@h/a"),
    *(helm("data.uri", text.format(PLANTED)) for text in (
        "https:/u:{}@h/a", "https://u:a/{}@h/a", "https://u:a?{}@h/a", "u:{}@h/a", "//u:{}@h/a",
        "hf://u:{}@org/name", "hf://{}@org/name", "org/name?token={}", "s3://ID:{}@bucket/a", "https://h/a;sig={}")),
]  # fmt: skip


@pytest.mark.parametrize("row", [*DOWNLOAD, *REGISTER, *HELM], ids=lambda row: row.name)
def test_texts(row: Row, tmp_path: Path) -> None:
    check(row, tmp_path)


SIGNING = (
    "X-Amz-Signature x-amz-security-token X-Goog-Credential sig signature SharedAccessSignature "
    "subscription-key Ocp-Apim-Subscription-Key "
    "token access_token accessToken api_key apikey secret client_secret password "
    "AWSAccessKeyId Key-Pair-Id Policy Expires jwt sas"
).split()
HARMLESS = "file page versionId max_tokens tokenizer keyword policyName".split()
KEYS = (
    "data.uri", "data.evalUri", "model.uri", "register.address", "register.uri", "eval.baseUrl",
    "train.tracking.mlflow.uri",
)  # fmt: skip


def refused(bench: Bench, names: list[str]) -> list[bool]:
    """Return whether helm refuses a parameter of each name, each in another value."""
    pairs = list(zip(KEYS, names, strict=False))
    words = [f"--set-literal={key}=https://h.example/a?x=1&{name}=1" for key, name in pairs]
    printed = subprocess.run(bench.helm(*words), capture_output=True, text=True, check=False).stderr
    return [f"{key} carries a credential" in printed for key, _ in pairs]


def test_helm_rejects_the_parameters_that_a_stage_takes_for_a_signature(tmp_path: Path) -> None:
    template = (CHART / "templates" / "problems" / "_addresses.tpl").read_text().replace("\\\\", "\\")
    assert f"({SIGNS}|{MAY_SIGN})=" in template
    bench = Bench(tmp_path, ExitStack())
    for start in range(0, len(SIGNING), len(KEYS)):
        names = SIGNING[start : start + len(KEYS)]
        assert all(refused(bench, names)), names
    assert not any(refused(bench, HARMLESS))
    assert [name for name in SIGNING if asked_query(f"{name}=1")] == []
    assert [name for name in HARMLESS if not asked_query(f"{name}=1")] == []


MARKUP = (
    "# T | `a` <script>b</script> [c](javascript:1) ![d](x) **e** &lt; https://evil.example"
    "\n\n# Forged\x1b\u202e"
)


def test_titles_names_and_a_description_act_nowhere_in_the_model_card(tmp_path: Path) -> None:
    """The title stands in the table, in its reading and in the sentence on the gates, for its task fell."""

    def arrange(bench: Bench) -> list[str]:
        tasks = {**TASKS, MARKUP: Task(MARKUP, 149, 122, 0, 40)}
        make_tuned_run(bench.workspace, "run-1", rules={"maxTaskDrop": 50}, tasks=tasks)
        words = (f"--description={MARKUP}", "--name=# <b>m</b> [x](y)", f"--author={MARKUP}")
        return bench.stage("register", *words)

    check(Row("a card", arrange, 0, "not registered"), tmp_path)
    card = (tmp_path / "workspace" / "runs" / "run-1" / "register" / "model-card.md").read_text()
    assert all(is_shown(char) or char == "\n" for char in card)
    tokens = MarkdownIt().enable("table").parse(card.split("---\n", 2)[2])
    inner = [child for token in tokens for child in token.children or []]
    assert {child.type for child in inner} == {"text", "code_inline", "strong_open", "strong_close"}
    bold = [place for place, child in enumerate(inner) if child.type == "strong_open"]
    assert [inner[place + 1].content for place in bold] == ["Retention suite"]
    assert sum("Forged" in child.content for child in inner) == 6
    assert "html_block" not in [token.type for token in tokens]
    headings = [
        tokens[place + 1].content for place, token in enumerate(tokens) if token.type == "heading_open"
    ]
    assert len(headings) == 7 and not any("Forged" in heading for heading in headings[1:]), headings
