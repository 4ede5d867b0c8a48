"""The rows of both sets in the run's folder, and what is said of those that are not among them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from osft_download.prepared import EVAL, OVERLAP, TRAIN, Prepared, Sets, chosen
from osft_download.rows import Intake
from osft_download.rules import RejectedRow
from osft_rows.encoder import LONG, SHORT, SILENT
from osft_rows.left_out import in_words
from osft_workspace import Run, UserError, printable
from osft_workspace.text import counted

REMEDIES = {
    SHORT: "use longer rows or lower data.minTokens",
    LONG: "raise train.maxSequenceLength with train.maxTokensPerGpu, or use shorter rows",
    SILENT: "use rows with an answer that is learned (weight, train) and that the chat template writes",
}
LONGEST_LINE = 2000
"""Characters of a line that is shown of a row."""


def check_kind(kind: str | None, pretraining: bool | None) -> None:
    """Documents are for pretraining, and pretraining is for documents; None: not stated.

    Raises:
        UserError: the rows are of the other kind.
    """
    if kind is None or pretraining is None:
        return
    if pretraining and kind != "document":
        raise UserError(
            f"the rows train as {kind} and train.pretraining.enabled is true, which learns plain text. Name "
            "the column of the text in data.columns (document), or set train.pretraining.enabled to false."
        )
    if kind == "document" and not pretraining:
        raise UserError(
            "the rows are documents, and train.pretraining.enabled is false. Set it to true with "
            "train.pretraining.blockSize, or name the columns of a chat in data.columns."
        )


@dataclass(slots=True)
class Rows:
    """The rows of one run after their encoding."""

    run: Run
    intake: Intake
    sets: Sets
    prepared: Prepared
    counts: dict[str, int] = field(default_factory=dict)

    def publish(self) -> None:
        """List what is rejected, judge the whole, write train.jsonl and eval.jsonl.

        Raises:
            UserError: rows are rejected and may not be dropped, no row is left, or both sets share rows.
        """
        self.list_rejected()
        self.count()
        self.intake.close(empty=self.empty_sets())
        self.check_left()
        self.check_overlap()
        for state, name in ((TRAIN, "train.jsonl"), (EVAL, "eval.jsonl")):
            rows = chosen(self.sets.rows(), self.prepared.states, state)
            with (self.run.dir / name).open("wb") as file:
                file.writelines(row + b"\n" for _, row in rows)

    def list_rejected(self) -> None:
        """Give the rows that cannot be encoded to the intake, with the file and line they came from."""
        reasons = {entry["row"]: entry for entry in self.prepared.listed()}
        if not reasons:
            return
        for number, (place, row) in enumerate(self.sets.rows()):
            if entry := reasons.get(number):
                self.intake.reject(RejectedRow(entry["rule"], entry["reason"]), place.file, place.line, row)

    def count(self) -> None:
        """Count what became of every row."""
        states = self.prepared
        self.counts = {
            "train": states.count(TRAIN),
            "eval": states.count(EVAL),
            "unused": len(self.sets.train.offsets) - len(self.sets.order),
            "read": self.intake.read,
            "rejected": self.intake.bad,
            **{f"dropped_{state}": states.count(state) for state in (SHORT, LONG, SILENT, OVERLAP)},
        }

    def empty_sets(self) -> bool:
        """Return whether rejections leave one of the sets without any row."""
        usable = len(self.prepared.states) - self.prepared.count("rejected")
        border = len(self.sets.order)
        of_eval = self.prepared.states[border:]
        return not usable or (self.sets.held_out is not None and set(of_eval) <= {2})

    @property
    def dropped(self) -> dict[str, tuple[int, str]]:
        """Rows that are not trained on though they could be encoded: their state -> how many, and why."""
        settings = self.prepared.facts["settings"]
        reasons = {
            SHORT: f"shorter than {settings['shortest']} tokens (data.minTokens)",
            LONG: f"{settings['longest']} tokens or longer (train.maxSequenceLength)",
            SILENT: "without a token to learn",
        }
        found = {state: (self.counts[f"dropped_{state}"], reason) for state, reason in reasons.items()}
        return {state: (count, reason) for state, (count, reason) in found.items() if count}

    def places(self, state: str) -> str:
        """Return where the first rows of a state came from, for a sentence."""
        return self.place_of(self.prepared.first(state))

    def place_of(self, numbers: Sequence[int]) -> str:
        """Return where rows came from, by their numbers in `Sets.rows`."""
        rows = islice(self.sets.rows(), max(numbers) + 1) if numbers else iter(())
        found = [place for number, (place, _) in enumerate(rows) if number in numbers]
        return ", ".join(f"{printable(place.file)} line {place.line}" for place in found)

    def check_left(self) -> None:
        """Raise UserError when no row is left to train on."""
        if self.counts["train"]:
            return
        reasons = ", ".join(
            f"{counted(count, 'is', 'are')} {reason}" for count, reason in self.dropped.values()
        )
        total = counted(sum(count for count, _ in self.dropped.values()), "row")
        remedies = ", or ".join(REMEDIES[state] for state in self.dropped)
        raise UserError(f"no row is left to train on: of {total} {reasons}. To fix it, {remedies}.")

    def check_overlap(self) -> None:
        """Raise UserError when both sets share rows and may not, or nothing else was to be held out."""
        both = self.prepared.facts["rows_overlap"]
        if both and self.sets.overlap == "fail":
            raise UserError(
                f"{counted(both, 'held-out row is', 'held-out rows are')} also among the rows to train on, "
                "token by token, the first at "
                f"{self.places(OVERLAP)}. Remove them from the data (data.evalUri, or repeated rows of "
                "data.uri), or set data.overlap to drop."
            )
        if both and self.sets.held_out is not None and not self.counts["eval"]:
            raise UserError(
                f"each held-out row (data.evalUri; {counted(both, 'row')}) is also among the rows to train "
                "on, so none can show what was learned. Name other rows in data.evalUri, or leave it empty "
                "to hold some out."
            )

    def report(self, fraction: float) -> None:
        """Log what is trained on and what is not; `fraction` is the share that trains."""
        facts = self.prepared.facts
        both = facts["rows_overlap"]
        sets, mark = facts["sets"], facts["tokenizer"]["end_of_turn"]
        self.run.event(
            "rows encoded",
            rows=sets["train"]["rows"],
            tokens=sets["train"]["tokens"],
            learned=sets["train"]["learned"],
            longest=sets["train"]["longest"],
            end_of_turn=mark or None,
        )
        for state, (count, reason) in self.dropped.items():
            self.run.event("rows dropped", rows=count, because=reason, first=self.places(state))
        if why := self.why_none_held_out(fraction):
            self.run.event("no rows are held out: evaluation cannot measure what was learned", because=why)
        if facts["rows_repeated"]:
            self.run.event("rows that equal another row, token by token", rows=facts["rows_repeated"])
        if both:
            done = (
                "kept to train on only" if self.sets.overlap == "drop" else "left in both sets (data.overlap)"
            )
            first = self.places(OVERLAP)
            self.run.event(
                "held-out rows are also among the rows to train on", rows=both, done=done, first=first
            )
        self.tell_of_template()

    def tell_of_template(self) -> None:
        """Log what the chat template changes, leaves out, or does not close."""
        facts = self.prepared.facts
        if facts["rows_system_merged"]:
            reason = "the chat template refuses system messages; "
            reason += counted(facts["rows_system_merged"], "row has one", "rows have one")
            self.run.choice("system_role", "merge", reason)
        for kind, (count, first) in facts["left_out"].items():
            self.run.event(
                f"the chat template leaves out {in_words(kind)}",
                rows=count,
                first=self.place_of([first]),
            )
        if facts["answers_unclosed"]:
            self.run.event(
                "the chat template writes no end-of-turn mark after some answers: the model cannot learn to "
                "end them",
                answers=facts["answers_unclosed"],
            )

    def why_none_held_out(self, fraction: float) -> str:
        """Return why no rows are held out, as half a sentence; empty where some are."""
        if self.counts["eval"]:
            return ""
        if self.sets.held_out is None and fraction >= 1:
            return "data.trainFraction is 1 and data.evalUri is empty"
        if self.counts["train"] == 1:
            return "there is one row, which cannot be split"
        return "all rows are equal, token by token, and equal rows are kept on one side (data.overlap)"

    def message(self) -> str:
        """Return the rows in half a sentence."""
        found = [
            f"{counted(self.counts['train'], 'row')} to train on",
            f"{self.counts['eval']:,} held out",
            f"{self.counts['rejected']:,} rejected",
        ]
        found += [
            f"{counted(count, 'dropped that is', 'dropped that are')} {reason}"
            for count, reason in self.dropped.values()
        ]
        if overlap := self.counts["dropped_overlap"]:
            both = counted(overlap, "held-out row dropped that is", "held-out rows dropped that are")
            found.append(f"{both} also trained on")
        lost = self.counts["rejected"] + sum(count for count, _ in self.dropped.values())
        most = "; most rows are not trained on" if lost > self.counts["train"] else ""
        return ", ".join(found) + most


def shown(previews: Sequence[Sequence[Mapping[str, Any]]]) -> Iterator[str]:
    """Rows as a person reads them: what is learned stands in [[ ]]; indented, so that none forges a line."""
    for number, pieces in enumerate(previews, 1):
        plain = [
            (piece["text"].replace("[[", r"\[[").replace("]]", r"\]]"), piece["learned"]) for piece in pieces
        ]
        text = "".join(f"[[{piece}]]" if learned else piece for piece, learned in plain)
        lines = ("  " + printable(line, LONGEST_LINE) for line in text.split("\n"))
        yield f"--- row {number} to train on; learned: [[ ]]\n" + "\n".join(lines)
