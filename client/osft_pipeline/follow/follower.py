"""Follows a run until it ends, through upgrades and lost connections."""

import time

from osft_pipeline.follow.display import Display
from osft_pipeline.follow.look import Look
from osft_pipeline.follow.model import Run
from osft_workspace import Transient, UserError
from osft_workspace.log import duration

FIRST_SECONDS = 30.0
"""How long to look for a run at first: helm on a busy machine may be about to create it."""
GONE_SECONDS = 30.0
"""How long a run may have no objects: an upgrade deletes some before it creates new ones."""
AWAY_SECONDS = 300.0
"""How long the cluster may be unreachable."""
SETTLE_SECONDS = 15.0
"""How long to look again after an end while helm works: an upgrade may be about to replace the run."""


class TimedOut(Transient):
    """--timeout passed."""


class Follower:
    """Looks at a run until it ends or cannot be found."""

    def __init__(self, look: Look, display: Display, refresh: float, timeout: float | None) -> None:
        self.look, self.display, self.refresh, self.timeout = look, display, refresh, timeout
        self.began = self.answered = self.in_sight = time.monotonic()
        self.run: Run | None = None
        self.ended_at: float | None = None

    def until_end(self) -> int:
        """Return the exit code of the run. Raises UserError, Transient or TimedOut if it stays unknown."""
        while True:
            if self.step() and self.run and self.run.exit_code is not None:
                return self.run.exit_code
            left = None if self.timeout is None else self.timeout - (time.monotonic() - self.began)
            if left is not None and left <= 0:
                given = duration(self.timeout or 0)
                raise TimedOut(f"the run was not done after {given}; it goes on. Follow it again.")
            time.sleep(self.refresh if left is None else min(self.refresh, left))

    def step(self) -> bool:
        """Look once; whether the run has ended. Raises UserError or Transient."""
        now = time.monotonic()
        try:
            found = self.look.once()
        except Transient as away:
            if self.run is None or now - self.answered > AWAY_SECONDS:
                raise
            self.display.say(f"{str(away).rstrip('.')}; asking again")
            return False
        self.answered = now
        if found is None:
            self.miss(now)
            return False
        self.run, self.in_sight = found, now
        self.display.show(found)
        if not found.ended:
            self.ended_at = None
        return found.ended and self.is_settled(now)

    def is_settled(self, now: float) -> bool:
        """Return whether an end is final: not while helm is about to replace the run."""
        self.ended_at = self.ended_at or now
        if now - self.ended_at > SETTLE_SECONDS:
            return True
        return not self.look.kubectl.helm_status(self.look.release).startswith("pending")

    def miss(self, now: float) -> None:
        """Handle a look that found nothing: the run does not exist yet, or was removed."""
        release = self.look.release
        if self.run is None:
            if now - self.began > FIRST_SECONDS:
                raise no_run(self.look)
            self.display.say(f"release {release} has no run here yet; looking for {FIRST_SECONDS:.0f} s")
        elif now - self.in_sight > GONE_SECONDS:
            raise UserError(
                f"run {self.run.id} was removed while it was {self.run.state}: it was uninstalled or "
                "replaced. Install it again to continue; finished stages in the workspace are kept."
            )


def no_run(look: Look) -> UserError:
    """Return the error for a release without a run; it names the runs that exist."""
    if look.run_id and look.known:
        return UserError(f"release {look.release} has no run {look.run_id}: it has {', '.join(look.known)}.")
    here, there = look.kubectl.namespace(), look.kubectl.releases()
    start = f"release {look.release} has no run in namespace {here}"
    elsewhere = sorted(space for space, names in there.items() if look.release in names)
    if elsewhere:
        return UserError(f"{start}. It has one in {' and '.join(elsewhere)}: add -n {elsewhere[0]}.")
    if there.get(here):
        return UserError(f"{start}. Releases with a run there: {', '.join(sorted(there[here]))}.")
    return UserError(f"{start}, nor has any other release. Is it installed there? See helm list -n {here}.")
