"""The split: seeded, complete, and as asked."""

import json

import pytest

from tests.stages.download.support import CHAT, Stage, chat, lines


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(stage: Stage) -> None:
    source = stage.file("a.jsonl", lines([chat(f"Question {number}?") for number in range(200)]))
    first, second, other = (
        stage.good("--uri", source, f"--seed={seed}", run=run) for run, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    for name in ("train.jsonl", "eval.jsonl"):
        assert first.lines(name) == second.lines(name)
        assert set(first.lines(name)) != set(other.lines(name))


def test_the_split_is_a_partition_of_the_rows(stage: Stage) -> None:
    rows = lines([chat(f"Question {number}?") for number in range(101)])
    end = stage.good("--uri", stage.file("a.jsonl", rows), "--train-fraction=0.8")
    train, held_out = end.lines("train.jsonl"), end.lines("eval.jsonl")
    assert (len(train), len(held_out)) == (81, 20)
    assert sorted(train + held_out) == sorted(rows.splitlines())
    assert train != sorted(train)


def test_without_shuffle_the_order_stays_and_the_last_rows_are_held_out(stage: Stage) -> None:
    end = stage.good("--uri", stage.file("a.jsonl", CHAT), "--no-shuffle")
    assert end.lines("train.jsonl") + end.lines("eval.jsonl") == CHAT.splitlines()


@pytest.mark.parametrize("order", ["--shuffle", "--no-shuffle"])
def test_a_subset_has_its_size_and_is_reproducible(stage: Stage, order: str) -> None:
    rows = lines([chat(f"Question {number}?") for number in range(200)])
    args = ("--uri", stage.file("a.jsonl", rows), "--subset=50", "--train-fraction=1", order)
    first, second = stage.good(*args, run="a"), stage.good(*args, run="b")
    kept = first.lines("train.jsonl")
    assert kept == second.lines("train.jsonl")
    assert len(set(kept)) == 50
    assert first.record["details"]["rows"]["unused"] == 150
    in_order = [row for row in rows.splitlines() if row in set(kept)]
    assert (kept == in_order) == (order == "--no-shuffle")
    assert kept != rows.splitlines()[:50]


def test_an_evaluation_set_of_its_own_is_taken_as_it_is(stage: Stage) -> None:
    own = lines([chat(f"Held out {number}?") for number in range(5)])
    sources = ("--uri", stage.file("a.jsonl", CHAT), "--eval-uri", stage.file("b.jsonl", own))
    end = stage.good(*sources)
    assert end.lines("eval.jsonl") == own.splitlines()
    assert sorted(end.lines("train.jsonl")) == sorted(CHAT.splitlines())
    assert "chose train_fraction value=1" in end.printed
    assert [source["part"] for source in end.record["details"]["sources"]] == ["train", "eval"]


def test_an_evaluation_set_with_no_usable_row_is_an_error(stage: Stage) -> None:
    bad = stage.file("b.jsonl", b'{"messages": []}\n')
    end = stage.run("--uri", stage.file("a.jsonl", CHAT), "--eval-uri", bad, "--on-invalid=drop")
    assert "b.jsonl line 1: the list of messages is empty" in end.failed(2)


INSTRUCTIONS = lines(
    [{"instruction": f"Count to {number}.", "output": "One, two, ..."} for number in range(5)]
)
TABLE = b"prompt,completion\n" + b"".join(b"Count to %d.,One and two.\n" % number for number in range(5))


@pytest.mark.parametrize(
    "held_out", [("b.jsonl", INSTRUCTIONS), ("b.csv", TABLE)], ids=["instructions", "csv"]
)
def test_an_evaluation_set_of_another_format_works(stage: Stage, held_out: tuple[str, bytes]) -> None:
    end = stage.good("--uri", stage.file("a.jsonl", CHAT), "--eval-uri", stage.file(*held_out))
    rows = end.rows("eval.jsonl")
    assert len(rows) == 5
    assert rows[0]["messages"][0] == {"role": "user", "content": "Count to 0."}


TOKENS = lines([{"input_ids": [*range(30)], "labels": [*range(30)]}])
TEXT = lines([{"document": "One, two, three. " * 9}])


@pytest.mark.parametrize(
    ("train", "held_out", "kinds"),
    [
        (CHAT, TOKENS, ("processed", "messages")),
        (CHAT, TEXT, ("document", "messages")),
        (TOKENS, CHAT, ("messages", "processed")),
    ],
)
def test_an_evaluation_set_of_another_kind_is_rejected(
    stage: Stage, train: bytes, held_out: bytes, kinds: tuple[str, str]
) -> None:
    end = stage.run("--uri", stage.file("a.jsonl", train), "--eval-uri", stage.file("b.jsonl", held_out))
    assert end.failed(2) == (
        f"Error: b.jsonl line 1 of data.evalUri: the row would be evaluated as {kinds[0]}, and the rows of "
        f"data.uri train as {kinds[1]}. Expected held-out rows of the same kind. Convert those of "
        "data.evalUri, or leave it empty to hold out rows of data.uri (data.trainFraction)."
    )


def test_a_format_that_only_one_of_the_sets_has_names_the_way_for_both(stage: Stage) -> None:
    sources = ("--uri", stage.file("a.jsonl", CHAT), "--eval-uri", stage.file("b.jsonl", INSTRUCTIONS))
    sentence = stage.run(*sources, "--format=messages").failed(2)
    assert "b.jsonl line 1: the row has the keys instruction, output, expected messages" in sentence
    assert "Set data.format (--format) to auto, which decides for each row, or name their columns" in sentence


def test_rows_that_train_cannot_be_the_evaluation_set(stage: Stage) -> None:
    one, two = stage.file("a.jsonl", CHAT), stage.file("b.jsonl", CHAT)
    sentence = stage.run("--uri", one, "--eval-uri", two).failed(2)
    assert f"b.jsonl of data.evalUri {two} holds the same bytes as a file of data.uri {one}." in sentence


def test_no_file_of_a_folder_that_trains_can_be_the_evaluation_set(stage: Stage) -> None:
    one = stage.file("folder/a.jsonl", CHAT)
    stage.file("folder/b.jsonl", lines([chat("More?")]))
    sentence = stage.run("--uri", str(stage.data / "folder"), "--eval-uri", one).failed(2)
    assert f"a.jsonl of data.evalUri {one} holds the same bytes" in sentence


@pytest.mark.parametrize(
    "given",
    [
        *("--train-fraction=0", "--train-fraction=1.5", "--subset=-1", "--format=none"),
        *("--train-fraction=nan", "--timeout-seconds=nan", "--timeout-seconds=inf"),
    ],
)
def test_a_value_out_of_range_is_a_usage_error(stage: Stage, given: str) -> None:
    end = stage.run("--uri", stage.file("a.jsonl", CHAT), given)
    assert f"Invalid value for '{given.split('=')[0]}'" in end.failed(2)


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ("{", "is not JSON"),
        ('{"promt": "q"}', "unknown column promt"),
        ('{"prompt": 1}', "is not a map of texts"),
        ('{"prompt": "\\ud800"}', "is not JSON"),
    ],
)
def test_columns_that_are_not_a_map_are_a_usage_error(stage: Stage, columns: str, sentence: str) -> None:
    assert sentence in stage.run("--uri", stage.file("a.jsonl", CHAT), f"--columns={columns}").failed(2)


def test_flags_can_come_from_the_environment(stage: Stage) -> None:
    one, two = stage.file("a.jsonl", CHAT), stage.file("b.jsonl", lines([chat("More?")]))
    end = stage.good(
        OSFT_DATA_URI=f"{one} {two}",
        OSFT_DATA_TRAIN_FRACTION="1",
        OSFT_DATA_SHUFFLE="false",
        OSFT_DATA_SEED="3",
    )
    assert end.lines("train.jsonl") == [*CHAT.splitlines(), json.dumps(chat("More?")).encode()]
    assert end.record["inputs"]["seed"] == 3
