"""1,000 invented answers for each client: no exit code other than 0, 2 and 75, and bounded memory."""

import base64
import gzip
import json
import pickle
import subprocess
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hostile.table import MEGABYTE, MEMORY
from tests.support.listings import COMMIT, ROWS, bucket, page, repository, siblings, thing
from tests.support.sandbox import ROOT, executable
from tests.support.scripted import Reply, of_json

COUNT = 250
"""For each client, a thousand for all of them."""
STAGES = {"registry": "register", "http": "download", "s3": "download", "hub": "download"}

leaves: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.just("\ud800"),
    st.sampled_from([-1, 10**20, "", "../..", "osft-model", "run-1", COMMIT, "rows.jsonl", "LIVE"]),
)  # fmt: skip
KEYS = (
    "items", "id", "name", "state", "nextPageToken", "customProperties", "message", "error", "sha",
    "siblings", "rfilename", "size", "tags", "private", "gated", "cardData", "artifactType",
)  # fmt: skip
values: st.SearchStrategy[Any] = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=8,
)
headers = st.dictionaries(
    st.sampled_from(
        "Location Link ETag X-Repo-Commit X-Error-Code Content-Encoding Content-Type Retry-After".split()
    ),
    st.sampled_from(
        [
            *("/", "/rows.jsonl", "http://169.254.169.254/", "http://[", "//", '</next>; rel="next"'),
            *('"e"', COMMIT),
            *("gzip", "br", "identity", "application/json", "RepoNotFound", "GatedRepo", "RevisionNotFound"),
            *("-1", "nan", "99999999999999999999", "Wed, 21 Oct 2099 07:28:00 GMT", "\x7f", "é"),
        ]
    ),
    max_size=3,
)  # fmt: skip
statuses = st.sampled_from(
    [200] * 8 + [201, 204, 206, 301, 302, 304, 307, 400, 401, 403, 404, 405, 409, 410, 416]
)
passing = st.sampled_from([408, 425, 429, 500, 503])
texts = st.binary(max_size=60) | values.map(lambda value: json.dumps(value).encode())
bodies = st.one_of(
    texts,
    texts.map(gzip.compress),
    st.sampled_from(
        [b"[" * 5000, b"", ROWS, b"<a>" * 500, b"<!DOCTYPE html>", b'{"a": NaN}', bytes(200_000)]
    ),
)
lengths = st.sampled_from([-1] * 9 + [None, 0, 5, 10**6, 10**15])
anything = st.builds(Reply, statuses | passing, bodies, headers, lengths)
sizes = st.sampled_from([0, 1, 100, len(ROWS), 10**15, -5])
things = st.builds(
    thing, st.text(max_size=5) | st.just("osft-model"), st.sampled_from(["1", "a/b", ""]), more=values
).map(lambda found: found | {"customProperties": found.pop("more")})
likely: dict[str, st.SearchStrategy[Reply]] = {
    "registry": st.builds(page, things, token=st.sampled_from(["", "", "a"]))
    | things.map(of_json)
    | values.map(of_json),
    "http": st.just(Reply(200, ROWS)),
    "s3": st.builds(lambda size: bucket(("rows.jsonl", size)), sizes),
    "hub": st.builds(lambda size: repository(siblings(**{"rows.jsonl": size})), sizes)
    | values.map(repository),
}


def invented(client: str) -> list[bytes]:
    """Return the lines for `answered`; the same in every run."""
    lines: list[bytes] = []
    replies = st.lists(st.none() | likely[client] | anything, min_size=1, max_size=6)

    @settings(
        max_examples=COUNT,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(replies)
    def keep(found: list[Reply | None]) -> None:
        lines.append(base64.b64encode(pickle.dumps(found)))

    keep()
    return lines


@pytest.mark.parametrize("client", list(STAGES))
def test_a_thousand_answers_end_in_a_message_and_bounded_memory(client: str) -> None:
    python = executable(STAGES[client], "python")
    done = subprocess.run(
        [python, "-m", "tests.support.answered", client],
        input=b"\n".join(invented(client)),
        cwd=ROOT,
        env={
            "LANG": "C.UTF-8",
            "AWS_ACCESS_KEY_ID": "key-0123456789",
            "AWS_SECRET_ACCESS_KEY": "secret-0123456789",
        },
        capture_output=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    told = json.loads(done.stdout)
    assert not told["bugs"], "\n".join(told["bugs"])
    assert sum(told["codes"].values()) >= COUNT * 0.9 and set(told["codes"]) <= {"0", "2", "75"}, told[
        "codes"
    ]
    assert told["peak"] < MEMORY[STAGES[client]] * MEGABYTE, told["peak"]
