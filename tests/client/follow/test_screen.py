"""The screen: what a person reads, never wider than the terminal, never moved by what a log holds."""

import io
import re
from datetime import timedelta

import pytest
from rich.cells import cell_len
from rich.console import Console

from osft_pipeline.follow.screen import frame
from osft_workspace.log import duration
from osft_workspace.text import is_shown
from tests.client.follow.cluster import START, Cluster, condition, ended

TRAINING = "2026-11-21T16:00:40Z train training step=24/96 loss=3.433 left=8m40s"


def screen(cluster: Cluster, width: int = 100) -> str:
    """The plain screen 100 s after the start, without what fills its cells."""
    console = Console(file=io.StringIO(), width=width)
    with console.capture() as shown:
        console.print(frame(cluster.read(), START + timedelta(seconds=100)), crop=False)
    return "\n".join(map(str.rstrip, shown.get().splitlines()))


def test_a_running_stage_has_a_bar_its_figures_its_pod_and_its_last_lines() -> None:
    shown = screen(
        Cluster().trainjob().done("download", 1, "96 rows to train on").running("train", 12, TRAINING)
    )
    assert "run1-12dab11d  train running, 1m40s so far" in shown
    assert "release run1, namespace team, ordering cluster, TrainJob run1-12dab11d-d6de" in shown
    assert re.search(r"\n  download  done        10s  96 rows to train on\n", shown)
    assert re.search(r"\n  train     running   1m28s  \u2501{6} {19}step 24/96 \(25 %\), 8m40s left\n", shown)
    assert "training, loss 3.433\n" in shown
    assert re.search(r"\n {29}\d\d:\d\d:12  pod run1-12dab11d-d6de-node-0-0-\w on gpu-1\n", shown)
    assert re.search(r"\n  \d\d:\d\d:40  training step=24/96 loss=3.433 left=8m40s$", shown)


def test_a_training_draws_its_losses_as_far_as_it_has_come() -> None:
    losses = [4.0, 3.5, 3.2, 3.1]
    lines = [
        f"2026-11-21T16:00:4{step}Z train training step={step * 6}/96 loss={loss:.3f} left=8m40s"
        for step, loss in enumerate(losses, 1)
    ]
    lines.insert(2, "2026-11-21T16:00:43Z train held-out loss step=12 loss=3.900")
    lines += [f"2026-11-21T16:00:44Z train training step={step} loss=9" for step in ("1e999/2e999", "7/6")]
    shown = screen(Cluster().trainjob().running("train", 12, *lines))
    assert f"\n{' ' * 29}loss      4.000  ██▄▄▁▁▁ 3.100\n" in shown
    assert f"\n{' ' * 29}held-out  3.900    █ 3.900\n" in shown


def test_a_bad_end_has_its_sentence_its_last_lines_and_what_to_do() -> None:
    cluster = Cluster().trainjob().failed("download", 1, 75, "s3://rows answered 503, 4 times.")
    cluster.said.logs[cluster.things[-1]["metadata"]["name"]] = [
        TRAINING,
        "Error: s3://rows answered 503, 4 times.",
    ]
    head, _, end = screen(cluster).partition("\ndownload failed\n")
    assert "download failed with exit code 75 after 11s" in head
    assert "exit code 75" in head and "not started" in head
    sentence, _, rest = end.partition("\n\nIts last lines\n")
    assert sentence == "  s3://rows answered 503, 4 times."
    last, _, advice = rest.partition("\n\nWhat to do\n")
    assert last.count("\n") == 0 and "training step=24/96" in last
    assert "\n    kubectl -n team delete trainjob run1-12dab11d-d6de\n" in advice
    assert advice.endswith("\n    kubectl -n team logs run1-12dab11d-d6de-download-0-0-c")


def test_a_suspended_run_shows_the_command_that_starts_it() -> None:
    shown = screen(Cluster().trainjob(0, True), 140)
    command = (
        """kubectl -n team patch trainjob run1-12dab11d-d6de --type merge -p '{"spec":{"suspend":false}}'"""
    )
    assert shown.endswith(f"\n  {command}")


def test_many_nodes_show_the_first_and_those_that_differ() -> None:
    cluster = Cluster().trainjob().job("train", 1, nodes=8)
    for rank in range(8):
        cluster.pod(1, {"running": {}} if rank != 5 else None, rank=rank)
    shown = screen(cluster)
    assert shown.count("rank ") == 2 and "rank 0 running" in shown and "rank 5 pending" in shown
    assert "and 6 further pods" in shown


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_no_line_of_a_living_run_is_wider_than_the_terminal(width: int) -> None:
    held = condition("PodScheduled", 12, "Unschedulable", "0/3 nodes are available: " + "x" * 200, "False")
    for cluster in (
        Cluster().trainjob().done("download", 1, "y " * 200).running("train", 12, TRAINING * 3),
        Cluster().trainjob().job("download", 1).pod(1, conditions=(held,)),
    ):
        assert max(map(cell_len, screen(cluster, width).splitlines())) <= width


def test_what_a_log_or_a_message_holds_moves_no_cursor() -> None:
    evil = "\x1b[2J\x1b]0;title\x07\x1b[31mred\r\x08"
    cluster = Cluster().trainjob().failed("download", 1, 1, f"KeyError: {evil}", "BackoffLimitExceeded")
    cluster.said.logs[cluster.things[-1]["metadata"]["name"]] = [evil]
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", screen(cluster))
    cluster = Cluster().trainjob().running("download", 1, f"{TRAINING} seen={evil}")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", screen(cluster))


def test_a_message_forges_no_line_and_turns_no_text() -> None:
    message = "disk full\n\nWhat to do\u2028  rm -rf /\u202e\x9b31m"
    cluster = Cluster().failed_trainjob("Failed", message)
    shown = screen(cluster)
    assert "disk full What to do rm -rf /\\u202e\\x9b31m" in shown
    assert shown.count("\nWhat to do\n") == 1
    assert all(is_shown(char) or char == "\n" for char in shown)


def test_durations_read_as_the_stages_write_them() -> None:
    assert [duration(s) for s in (0, 59.6, 61, 3600, 86400)] == ["0s", "1m00s", "1m01s", "1h00m", "24h00m"]


def test_a_stage_that_was_done_before_says_so() -> None:
    cluster = Cluster(stages=("download",)).trainjob().job("download", 1, condition("Complete", 3))
    cluster.pod(1, ended(0, "96 rows"))
    said = "2026-11-21T16:00:02Z download already done run=run1-12dab11d status=done"
    cluster.said.logs[cluster.things[-1]["metadata"]["name"]] = [said]
    assert "already done: 96 rows\n" in screen(cluster)
