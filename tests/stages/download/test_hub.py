"""Rows and models from a hub that the real client talks to."""

import pytest

from tests.stages.download.support import CHAT, End, Stage, chat, lines, run_all
from tests.support.hub import GOOD_TOKEN, STRANGER_TOKEN, Hub, Repo
from tests.support.stages import write_hollow_model

SECOND = "b" * 40
MORE = lines([chat("More?")])
CARD = b"""---
configs:
- config_name: small
  data_files:
  - split: train_sft
    path: small/*.jsonl
  - split: test
    path: test.jsonl
- config_name: big
  data_files: big.jsonl
---
"""
ELSEWHERE = b"---\nconfigs:\n- config_name: big\n  data_files: https://nowhere.invalid/big.jsonl\n---\n"
FIELD = b"---\nconfigs:\n- config_name: default\n  data_files: rows.json\n  field: data\n---\n"
NAMES = b"---\nconfigs:\n- config_name: default\n  data_files: rows.csv\n  names: [prompt, completion]\n---\n"
SEP = b'---\nconfigs:\n- config_name: default\n  data_files: rows.csv\n  sep: "^"\n---\n'
ALL = ("--train-fraction=1", "--no-shuffle")


@pytest.fixture(scope="module", autouse=True)
def repos(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = write_hollow_model(tmp_path_factory.mktemp("hub") / "model")
    model = {path.name: path.read_bytes() for path in folder.iterdir()}
    extra = {
        "pytorch_model.bin": b"x",
        "model.gguf": b"x",
        "onnx/model.onnx": b"x",
        "original/params.json": b"{}",
    }
    hub.repos = {
        "datasets/org/chat": Repo({"data/train.jsonl": CHAT, "data/test.jsonl": MORE}),
        "datasets/org/configs": Repo(
            {
                "README.md": CARD,
                "small/b.jsonl": MORE,
                "small/a.jsonl": CHAT,
                "test.jsonl": MORE,
                "big.jsonl": MORE,
            }
        ),
        "datasets/org/dated": Repo({"train.jsonl": CHAT}, refs={"main": "a" * 40, "v2": SECOND}),
        "datasets/org/eval-only": Repo({"data/test.jsonl": CHAT, "data/validation.jsonl": CHAT}),
        "datasets/org/empty": Repo({"README.md": b"# Nothing"}),
        "datasets/org/gated": Repo({"train.jsonl": CHAT}, gated=True),
        "datasets/org/private": Repo({"train.jsonl": CHAT}, private=True),
        "datasets/org/broken-card": Repo({"README.md": b"---\nconfigs: [\n---\n", "train.jsonl": CHAT}),
        "datasets/org/elsewhere": Repo({"README.md": ELSEWHERE, "train.jsonl": CHAT}),
        "datasets/org/field": Repo({"README.md": FIELD, "rows.json": b'{"data": []}'}),
        "datasets/org/names": Repo({"README.md": NAMES, "rows.csv": b"Is it?,Yes.\n"}),
        "datasets/org/sep": Repo({"README.md": SEP, "rows.csv": b"prompt^completion\nIs it, then?^Yes.\n"}),
        "datasets/org/script": Repo({"script.py": b"import datasets", "README.md": b"# Script"}),
        "models/org/odd": Repo(model | {"config.json": b"{}"}),
        "models/org/tiny": Repo({**model, **extra}),
        "models/org/gated": Repo(model, gated=True),
        "models/org/bare": Repo({"README.md": b"# Nothing", "model.gguf": b"x"}),
    }


def test_a_dataset_and_a_model_arrive_at_their_commits(stage: Stage, hub: Hub) -> None:
    end = stage.good("--uri=org/chat", *ALL, model="hf://org/tiny", **hub.env())
    assert end.lines("train.jsonl") == CHAT.splitlines()
    assert 'chose train split value=train reason="the dataset has train, test"' in end.printed
    (source,) = end.record["details"]["sources"]
    assert (source["uri"], source["revision"]) == ("hf://org/chat", "a" * 40)
    assert (source["config"], source["split"], source["files"][0]["name"]) == (
        "default",
        "train",
        "data/train.jsonl",
    )
    model = end.record["details"]["model"]
    assert (model["uri"], model["revision"]) == ("hf://org/tiny", "a" * 40)
    assert (model["license"], model["model_type"]) == ("apache-2.0", "llama")
    names = sorted(path.name for path in (stage.workspace / model["path"]).iterdir())
    assert names == sorted(path.name for path in stage.model.iterdir())

    hub.asked.clear()
    again = stage.good("--uri=org/chat", *ALL, "--seed=2", model="hf://org/tiny", **hub.env())
    assert "model is in the cache" in again.printed
    assert not any("model.safetensors" in path for path in hub.asked)


def test_a_config_and_its_first_known_split_are_found_through_the_card(stage: Stage, hub: Hub) -> None:
    end = stage.good("--uri=hf://org/configs:small", *ALL, **hub.env())
    assert end.lines("train.jsonl") == [*CHAT.splitlines(), *MORE.splitlines()]
    assert end.record["details"]["sources"][0]["split"] == "train_sft"
    named = stage.good("--uri=org/configs", "--config=small", "--split=test", *ALL, run="named", **hub.env())
    assert named.lines("train.jsonl") == MORE.splitlines()


def test_the_separator_of_a_card_is_read(stage: Stage, hub: Hub) -> None:
    end = stage.good("--uri=org/sep", *ALL, **hub.env())
    assert end.rows("train.jsonl") == [chat("Is it, then?")]


def test_an_evaluation_set_is_read_from_its_test_split(stage: Stage, hub: Hub) -> None:
    end = stage.good("--uri=org/chat", "--eval-uri=org/chat", "--split=train", **hub.env())
    assert end.lines("eval.jsonl") == MORE.splitlines()
    assert 'chose eval split value=test reason="the dataset has train, test"' in end.printed


def test_a_revision_is_pinned_to_its_commit(stage: Stage, hub: Hub) -> None:
    end = stage.good("--uri=org/dated@v2", "--uri=org/dated", "--revision=main", **hub.env())
    assert [source["revision"] for source in end.record["details"]["sources"]] == [SECOND, "a" * 40]


MISTAKES: dict[str, tuple[list[str], str | None, str]] = {
    "token": (
        ["--uri=org/private"],
        "hf_schlüssel",
        "HF_TOKEN holds a character that is not printable ASCII",
    ),
    "card": (["--uri=org/broken-card"], None, "the card (README.md) of the dataset org/broken-card on"),
    "elsewhere": (["--uri=org/elsewhere:big"], None, "points to files elsewhere ("),
    "none": (["--uri=org/none"], None, "there is no dataset org/none on http://127.0.0.1:"),
    "private": (["--uri=org/private"], None, "or it is private and HF_TOKEN is empty. Check the name"),
    "private to a token": (["--uri=org/private"], STRANGER_TOKEN, "there is no dataset org/private on http"),
    "gated": (
        ["--uri=org/gated"],
        None,
        "is gated and HF_TOKEN is empty. Ask for access at http://127.0.0.1:",
    ),
    "gated to a token": (
        ["--uri=org/gated"],
        STRANGER_TOKEN,
        "is gated and HF_TOKEN has no access to it. Ask for",
    ),
    "bad token": (
        ["--uri=org/gated"],
        "hf_expired_0123456789",
        "does not accept the token in HF_TOKEN (401)",
    ),
    "revision": (["--uri=org/dated@v3"], None, "has no revision 'v3'. It has main, v2; a commit works too."),
    "no config": (
        ["--uri=org/configs"],
        None,
        "has several configs and none is named. It has small, big. Set",
    ),
    "config": (["--uri=org/configs:huge"], None, "has no config 'huge'. It has small, big."),
    "no split": (
        ["--uri=org/eval-only"],
        None,
        "train, training. It has validation, test. Name one with data.split",
    ),
    "split": (["--uri=org/chat", "--split=dev"], None, "has no split 'dev'. It has train, test."),
    "empty": (["--uri=org/empty"], None, "holds no data files that can be read"),
    "field": (["--uri=org/field"], None, "has its files read with field: data, which is not supported here."),
    "names": (["--uri=org/names"], None, "has its files read with names: ['prompt', 'completion'], which is"),
    "script": (["--uri=org/script"], None, "set data.revision=refs/convert/parquet (--revision)."),
}


@pytest.fixture(scope="module")
def ends(shared_stage: Stage, hub: Hub, repos: None) -> dict[str, End]:
    return run_all(
        shared_stage, {name: (args, hub.env(token)) for name, (args, token, _) in MISTAKES.items()}
    )


@pytest.mark.parametrize("mistake", list(MISTAKES))
def test_each_mistake_has_its_own_message(ends: dict[str, End], mistake: str) -> None:
    _, token, sentence = MISTAKES[mistake]
    assert sentence in ends[mistake].failed(2)
    assert not token or token not in ends[mistake].printed


def test_a_token_opens_what_is_gated_or_private(stage: Stage, hub: Hub) -> None:
    end = stage.good(
        "--uri=org/gated", "--uri=org/private", *ALL, model="hf://org/gated", **hub.env(GOOD_TOKEN)
    )
    assert len(end.lines("train.jsonl")) == 40
    assert GOOD_TOKEN not in end.printed + (end.dir / "record.json").read_text()


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("hf://org/none", "there is no model org/none on http"),
        ("hf://org/gated", "the model org/gated on http"),
        ("hf://org/bare", "is not a model: it lacks config.json and weights (*.safetensors) and a tokenizer"),
        ("hf://org/tiny@v9", "has no revision 'v9'. It has main"),
        ("hf://org/odd", "config.json of the model org/odd on http"),
    ],
)
def test_a_wrong_model_is_named_before_any_row_is_loaded(
    stage: Stage, hub: Hub, model: str, sentence: str
) -> None:
    hub.asked.clear()
    assert sentence in stage.run("--uri=org/chat", model=model, **hub.env()).failed(2)
    assert not any("/datasets/" in path for path in hub.asked)


def test_a_hub_that_fails_for_a_moment_is_asked_again(stage: Stage, hub: Hub) -> None:
    hub.failing = 2
    end = stage.good("--uri", stage.file("a.jsonl", CHAT), model="hf://org/tiny", **hub.env())
    assert end.printed.count("retrying") == 2


def test_a_hub_that_is_down_or_unreachable_is_a_temporary_error(stage: Stage) -> None:
    down = Hub()
    down.failing = 1000
    addresses = {"down": down.url, "away": "http://127.0.0.1:9"}
    ends = run_all(
        stage, {name: (["--uri=org/chat"], {"HF_ENDPOINT": url}) for name, url in addresses.items()}
    )
    down.close()
    sentence = (
        "asked for /api/datasets/org/chat/revision/main, answered 503 (the server has a problem), 4 times"
    )
    assert sentence in ends["down"].failed(75)
    assert "the hub at http://127.0.0.1:9 refused the connection, 4 times" in ends["away"].failed(75)
