"""Rows from a web server that misbehaves."""

import pytest

from tests.stages.download.support import CHAT, End, Stage, run_all
from tests.support.badhttp import BadHttp

SECRET = "sig-5f3c9a17"


@pytest.mark.parametrize("how", ["ok", "moved", "flaky", "cut-once"])
def test_rows_arrive_whole(stage: Stage, bad: BadHttp, how: str) -> None:
    end = stage.good("--uri", f"{bad.url}/{how}/rows.jsonl", "--no-shuffle", "--train-fraction=1")
    assert end.lines("train.jsonl") == CHAT.splitlines()
    assert bad.asked[f"/{how}/rows.jsonl"] == {"flaky": 3, "cut-once": 2}.get(how, 1)
    assert end.printed.count("retrying") == {"flaky": 2, "cut-once": 1}.get(how, 0)


FAILURES = {
    "401": (2, 1, "answered 401: it wants credentials"),
    "403": (2, 1, "answered 403: access denied; a presigned link may have expired"),
    "404": (2, 1, "answered 404: nothing exists at that address"),
    "500": (75, 4, "answered 500 (the server has a problem), 4 times. Start again later."),
    "cut": (75, 4, "closed the connection early, 4 times. Check the address"),
    "slow": (75, 4, "did not answer in time, 4 times. Check the address"),
    "301": (2, 1, "answered 301 without a file. Use an address that answers with the file itself"),
    "204": (2, 1, "answered 204 without a file."),
    "304": (2, 1, "answered 304 without a file."),
    "loop": (2, 21, "cannot be loaded: Exceeded maximum allowed redirects. Use an address"),
    "packed": (2, 1, "a body that cannot be unpacked (Error -3 while decompressing data"),
    "page": (2, 1, "rows.jsonl is a web page and not data (it begins with '<!DOCTYPE html>"),
}
NO_SERVER = {
    "http://127.0.0.1:9/rows.jsonl": (75, "http://127.0.0.1:9/rows.jsonl refused the connection, 4 times"),
    "http://nowhere.invalid/rows.jsonl": (75, "has a host name that is not known (DNS), 4 times"),
    "http:///rows.jsonl": (2, "is not an address"),
    "http://[::1/rows.jsonl": (2, "is not an address. Expected http://<host>/<path>."),
}


@pytest.fixture(scope="module")
def ends(shared_stage: Stage, bad: BadHttp) -> dict[str, End]:
    addresses = {how: f"{bad.url}/{how}/rows.jsonl" for how in FAILURES} | {uri: uri for uri in NO_SERVER}
    return run_all(
        shared_stage,
        {name: (["--uri", uri, "--timeout-seconds=1"], {}) for name, uri in addresses.items()},
    )


@pytest.mark.parametrize("how", list(FAILURES))
def test_each_failure_has_its_own_message(ends: dict[str, End], bad: BadHttp, how: str) -> None:
    code, tries, sentence = FAILURES[how]
    assert sentence in ends[how].failed(code)
    assert bad.asked[f"/{how}/rows.jsonl"] == tries


@pytest.mark.parametrize("address", list(NO_SERVER))
def test_an_address_without_a_server_has_its_own_message(ends: dict[str, End], address: str) -> None:
    code, sentence = NO_SERVER[address]
    assert sentence in ends[address].failed(code)


def test_another_query_is_another_input_and_a_renewed_signature_is_not(stage: Stage, bad: BadHttp) -> None:
    def ask(*queries: str) -> End:
        return stage.good(*(f"--uri={bad.url}/ok/rows.jsonl?{query}" for query in queries))

    ask("file=a&sig=1", "file=b&sig=1")
    assert "already done" in ask("file=a&sig=2", "file=b&sig=2").printed
    assert "inputs changed, running again changed=uri" in ask("file=a&sig=2", "file=c&sig=2").printed


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_an_invalid_ca_file_is_named(stage: Stage, bad: BadHttp, content: bytes | None) -> None:
    file = str(stage.data / "ca.pem") if content is None else stage.file("ca.pem", content)
    end = stage.run(f"--uri={bad.url}/ok/rows.jsonl", SSL_CERT_FILE=file)
    assert f"SSL_CERT_FILE names {file}, which cannot be used as a CA file" in end.failed(2)


def test_a_signed_link_is_used_whole_and_shown_without_its_secret(stage: Stage, bad: BadHttp) -> None:
    link = f"{bad.url.replace('://', f'://user:{SECRET}@')}/ok/rows.jsonl?X-Amz-Signature={SECRET}"
    end = stage.good("--uri", link)
    assert f"X-Amz-Signature={SECRET}" in bad.queries
    assert end.record["details"]["sources"][0]["uri"] == f"{bad.url}/ok/rows.jsonl"
    assert end.record["details"]["sources"][0]["etag"] == '"v1"'
    assert SECRET not in end.printed
    for path in stage.workspace.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path
    failed = stage.run("--uri", link.replace("/ok/", "/403/"), run="other")
    assert SECRET not in failed.printed
