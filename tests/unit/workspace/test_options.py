"""Options from fields of a dataclass: their names and variables, what they take, what decides a result."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click
import pytest
from click.testing import CliRunner

from osft_workspace.options import Json, Number, inputs_of, option, options_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """One field of each kind."""

    uri: tuple[str, ...] = option((), "Addresses.")
    num_rows: int | None = option(None, "Rows.", type=click.IntRange(1), also="ROWS")
    format: Literal["auto", "chat"] = option("auto", "Format.", env="OSFT_FORMAT")
    shuffle: bool = option(True, "Shuffle.")
    insecure: bool = option(False, "Check nothing.", is_flag=True)
    names: list[str] = option([], "Names.", type=Json(list, '["a"]'))
    ca_file: Path | None = option(None, "File.", decides=False)
    seconds: float = option(2.5, "Time.", type=Number(0), decides=False)


@click.command()
@click.option("--run-id", default="run-1")
@options_of(Options, "OSFT_X_")
def main(run_id: str, options: Options) -> None:
    """Do something."""
    click.echo(repr((run_id, options, inputs_of(options))))


def given(*words: str, **env: str) -> tuple[str, Options, dict[str, Any]]:
    """Return what the command was called with."""
    end = CliRunner().invoke(main, words, env=env)
    assert end.exit_code == 0, end.output
    found: tuple[str, Options, dict[str, Any]] = eval(end.output, {**globals(), "PosixPath": Path})
    return found


def test_without_words_every_option_has_its_default() -> None:
    run_id, options, inputs = given()
    assert (run_id, options) == ("run-1", Options())
    assert inputs == {
        **{"uri": (), "num_rows": None, "format": "auto"},
        **{"shuffle": True, "insecure": False, "names": []},
    }


def test_words_become_values_of_the_fields_types() -> None:
    words = ("--uri=a", "--uri=b", "--num-rows=3", "--format=chat", "--no-shuffle", "--insecure")
    _, options, _ = given(*words, '--names=["n"]', "--ca-file=ca.pem", "--seconds=4")
    assert options == Options(
        **{"uri": ("a", "b"), "num_rows": 3, "format": "chat", "shuffle": False, "insecure": True},
        **{"names": ["n"], "ca_file": Path("ca.pem"), "seconds": 4.0},
    )


def test_variables_have_the_prefix_unless_a_field_names_its_own() -> None:
    _, options, _ = given(OSFT_X_SHUFFLE="false", OSFT_FORMAT="chat", ROWS="5")
    assert options == Options(shuffle=False, format="chat", num_rows=5)
    assert given(OSFT_X_NUM_ROWS="6", ROWS="5")[1].num_rows == 6


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("--format=x", "Invalid value for '--format' (env var: 'OSFT_FORMAT'): 'x' is not one of"),
        ("--num-rows=0", "(env var: 'OSFT_X_NUM_ROWS', 'ROWS'): 0 is not in the range x>=1."),
        ("--seconds=nan", "nan is not a valid number."),
        ("--names={}", "'{}' is JSON of another type, expected like [\"a\"]."),
        ("--no-insecure", "No such option"),
    ],
)
def test_a_word_that_a_field_cannot_hold_is_a_usage_error(word: str, sentence: str) -> None:
    end = CliRunner().invoke(main, [word])
    assert end.exit_code == 2
    assert sentence in end.output


def test_help_lists_the_fields_in_their_order_with_defaults() -> None:
    lines = CliRunner().invoke(main, ["--help"], terminal_width=200).output.splitlines()
    assert [line.split()[0] for line in lines if line.startswith("  --")] == [
        *("--run-id", "--uri", "--num-rows", "--format", "--shuffle", "--insecure", "--names"),
        *("--ca-file", "--seconds", "--help"),
    ]
    assert any("Names.  [env var: OSFT_X_NAMES; default: []]" in line for line in lines)
