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
    assert end.printed.count("trying again") == {"flaky": 2, "cut-once": 1}.get(how, 0)


FAILURES = {
    "401": (2, 1, "answered 401: it wants credentials"),
    "403": (2, 1, "answered 403: it does not let this client in; a presigned link may have expired"),
    "404": (2, 1, "answered 404: there is nothing at that address"),
    "500": (75, 4, "answered 500 (the server has a problem), 4 times. Start again later."),
    "cut": (75, 4, "broke the connection off, 4 times. Check the address"),
    "slow": (75, 4, "did not answer in time, 4 times. Check the address"),
    "page": (2, 1, "rows.jsonl is a web page and not data (it begins with '<!DOCTYPE html>"),
}
NOBODY = {
    "http://127.0.0.1:9/rows.jsonl": (75, "http://127.0.0.1:9/rows.jsonl refused the connection, 4 times"),
    "http://nowhere.invalid/rows.jsonl": (75, "has a host name that is not known (DNS), 4 times"),
    "http:///rows.jsonl": (2, "is not an address"),
}


@pytest.fixture(scope="module")
def ends(shared_stage: Stage, bad: BadHttp) -> dict[str, End]:
    addresses = {how: f"{bad.url}/{how}/rows.jsonl" for how in FAILURES} | {uri: uri for uri in NOBODY}
    return run_all(
        shared_stage,
        {name: (["--uri", uri, "--timeout-seconds=1"], {}) for name, uri in addresses.items()},
    )


@pytest.mark.parametrize("how", list(FAILURES))
def test_each_failure_has_its_own_sentence(ends: dict[str, End], bad: BadHttp, how: str) -> None:
    code, tries, sentence = FAILURES[how]
    assert sentence in ends[how].failed(code)
    assert bad.asked[f"/{how}/rows.jsonl"] == tries


@pytest.mark.parametrize("address", list(NOBODY))
def test_an_address_where_nobody_is_has_its_own_sentence(ends: dict[str, End], address: str) -> None:
    code, sentence = NOBODY[address]
    assert sentence in ends[address].failed(code)


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
