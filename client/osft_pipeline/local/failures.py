"""How the last start of a run failed: on this machine it is kept in the run's folder until the next start."""

import json
import textwrap
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from osft_pipeline.local.records import read
from osft_workspace.characters import json_text

FILE = "failure.json"
LATE = 124  # as timeout(1) says it
ADVICE = {
    2: "Fix what the message names, then run the same command again: finished stages are not repeated.",
    3: "The gate failed, so no later stage runs. The report in the run's eval folder shows why.",
    75: "Something was unavailable at each attempt. Run the same command again later.",
    LATE: "Its deadline passed. Raise the stage's deadlineMinutes, then run the same command again.",
    137: "It was killed, most likely out of memory. Lower maxTokensPerGpu or batchSize, or free memory.",
}
BUG = "This is a bug: the stage's log has the traceback. The same command continues from there."


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The end of a run whose gate did not fail: the stage that failed, and what it said."""

    stage: str
    exitCode: int | None  # a key of --json
    message: str
    ended: str | None = None

    def sentence(self) -> str:
        """Return stage, exit code and message on one line."""
        code = "" if self.exitCode is None else f" with exit code {self.exitCode}"
        return f"failed in {self.stage}{code}{f': {self.message}' if self.message else ''}"

    def text(self, width: int) -> str:
        """Return what happened and what to do, in lines of at most `width`."""
        advice = ADVICE.get(self.exitCode or 0, BUG)
        return "\n".join(line for part in (self.sentence(), advice) for line in textwrap.wrap(part, width))


def keep(run_dir: Path, stage: str, code: int, message: str) -> None:
    """Write how a run failed into its folder."""
    run_dir.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    failure = Failure(stage=stage, exitCode=code, message=message, ended=now)
    (run_dir / FILE).write_text(json_text(asdict(failure)))


def clear(run_dir: Path) -> None:
    """Forget how the last start failed."""
    (run_dir / FILE).unlink(missing_ok=True)


def failure_of(run_dir: Path) -> Failure | None:
    """Return how the last start of a run of this machine failed; None where it did not."""
    try:
        return Failure(**read(run_dir / FILE)) if (run_dir / FILE).is_file() else None
    except (TypeError, json.JSONDecodeError):
        return None  # of another version, or half written
