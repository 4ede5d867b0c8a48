"""A copy of a hub's dataset on a volume, whose card says which files are which split."""

from tests.stages.download.support import Stage, chat, lines

HEAD = "---\nconfigs:\n"
SPLITS = """- config_name: default
  data_files:
  - split: train
    path: a*.jsonl
  - split: test
    path: [b.jsonl]
"""
OTHER = "- config_name: german\n  data_files: de/*.jsonl\n"


def write(stage: Stage, card: str) -> str:
    """Write a folder of rows that says its splits in its card; returns its path."""
    stage.file("set/README.md", f"{card}---\n# Rows\n".encode())
    stage.file("set/a1.jsonl", lines([chat("Who?"), chat("And who else?")]))
    stage.file("set/b.jsonl", lines([chat("For tests?")]))
    return str(stage.data / "set")


def test_rows_that_the_card_of_a_folder_keeps_for_tests_do_not_train(stage: Stage) -> None:
    folder = write(stage, HEAD + SPLITS + OTHER)
    end = stage.good("--uri", folder, "--eval-uri", folder, "--no-shuffle")
    assert end.rows("train.jsonl") == [chat("Who?"), chat("And who else?")]
    assert end.rows("eval.jsonl") == [chat("For tests?")]
    assert 'chose train split value=train reason="the folder has train, test"' in end.printed


def test_a_card_that_does_not_say_which_files_are_meant_is_named(stage: Stage) -> None:
    folder = write(stage, HEAD + SPLITS.replace("default", "english") + OTHER)
    error = stage.run("--uri", folder).failed(2)
    assert "has several configs (english, german) and none is the default" in error
    write(stage, HEAD + SPLITS.replace("a*", "c*"))
    error = stage.run("--uri", folder).failed(2)
    assert "names c*.jsonl as files of the split train, and the folder has no such file" in error
