"""Who keeps a cluster: written down for other calls, other checkouts, and for who finds it killed."""

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from osft_cluster.places import Cluster
from osft_servers.servers import Failed, start_ticks

READY = "ready"


@dataclass(frozen=True, slots=True)
class Keeper:
    """The process that started a cluster and will end it, and where that cluster is."""

    pid: int
    started: int | None
    """When the process began; with its number it names one process for ever."""
    home: str
    network: str

    @property
    def alive(self) -> bool:
        """Whether it still keeps its cluster; one that was killed leaves everything as it was."""
        return start_ticks(self.pid) == self.started

    def place(self, cluster: Cluster) -> Cluster:
        """Return the cluster of that name as its keeper knows it: maybe another checkout's."""
        return replace(cluster, home=Path(self.home), network=self.network)


def sign(cluster: Cluster) -> None:
    """Say that this process keeps the cluster. Raises Failed when another one was a moment earlier."""
    try:
        cluster.run.mkdir(mode=0o711)
    except FileExistsError:
        raise Failed(f"{cluster.run} was just created: another `up` is running.") from None
    own = Keeper(os.getpid(), start_ticks(os.getpid()), str(cluster.home), cluster.network)
    fresh = cluster.run / "keeper.new"
    fresh.write_text(json.dumps(asdict(own)))
    fresh.rename(cluster.run / "keeper.json")


def signed(cluster: Cluster) -> Keeper | None:
    """Who keeps, or kept, a cluster of this name on this machine."""
    try:
        return Keeper(**json.loads((cluster.run / "keeper.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def runs(cluster: Cluster) -> bool:
    """Return whether this checkout's cluster is there and ready."""
    who = signed(cluster)
    return bool(who and who.alive and who.place(cluster) == cluster and (cluster.run / READY).exists())
