"""What the report says of the rows that trained, and of those that did not."""

from osft_eval.report import data_view

ROWS = {"train": 46, "eval": 5, "rejected": 2}


def test_the_report_counts_the_rows_that_trained_and_says_why_others_did_not() -> None:
    training = {"rows": 2, "rows_dropped_short": 44, "rows_dropped_long": 0}
    said = data_view({"rows": ROWS, "tokens": {"preview": []}}, training)["counts"]
    assert said == [
        "2 rows trained, 5 held out.",
        "44 rows dropped: fewer tokens than data.minTokens.",
        "Most of the rows were dropped: the model learned from 2 of 46.",
        "2 rows rejected; download/rejected.jsonl lists them.",
    ]


def test_the_report_says_what_the_template_leaves_out() -> None:
    left_out = {"tool_calls": [1, 3], "system": [12, 0]}
    tokens = {"preview": [], "left_out": left_out, "answers_unclosed": 1, "rows_overlap": 1}
    said = data_view({"rows": {**ROWS, "rejected": 0}, "tokens": tokens}, {})["counts"]
    assert said == [
        "46 rows trained, 5 held out.",
        "1 held-out row is also among the rows to train on; data.overlap decides what happens to them.",
        "1 row has tool calls that the chat template leaves out.",
        "12 rows have messages of the role system that the chat template leaves out.",
        "1 answer without an end-of-turn mark, which the template leaves out.",
    ]
