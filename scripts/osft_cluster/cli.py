"""The command line of `scripts/dev-cluster`."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import click

from osft_cluster import host, keeper, lifecycle, node
from osft_cluster.places import BIN, NETWORK, ROOT, Cluster
from osft_cluster.services import S3_KEYS
from osft_servers.servers import Failed

HOURS = 4.0
STOP_SECONDS = 120


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--name", default="osft-dev", show_default=True, help="Name of the node, the bridge and the cgroup."
)
@click.option(
    "--network", default=NETWORK, show_default=True, help="First half of its addresses, an unused /16."
)
@click.pass_context
def main(context: click.Context, name: str, network: str) -> None:
    """A real one-node Kubernetes on this machine, with Kubeflow Trainer, JobSet and Model Registry.

    It needs root and Linux, no container engine, and nothing outside the machine. While it runs it changes
    three addresses on the loopback interface, a bridge, a cgroup, /run/NAME and a few kernel parameters;
    `down` undoes all of it. No firewall rule is made, and nothing listens on a real interface.
    """
    home = Cluster().home if name == Cluster().name else Cluster().home.with_name(f"cluster-{name}")
    context.obj = Cluster(name, network, home)


@main.command()
@click.option("--hours", default=HOURS, show_default=True, help="It ends by itself after this time.")
@click.pass_obj
def up(cluster: Cluster, hours: float) -> None:
    """Start it, unless it runs; returns when pods can be placed."""
    if keeper.runs(cluster):
        click.echo(f"runs already; export KUBECONFIG={cluster.kubeconfig}")
        return
    cluster.home.mkdir(parents=True, exist_ok=True)
    log = cluster.home / "dev-cluster.log"
    # Also where Ctrl-C is ignored, as shells set it for what they start in the background.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    start = time.monotonic()
    command = [sys.executable, str(ROOT / "scripts" / "dev-cluster"), f"--name={cluster.name}"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, f"--network={cluster.network}", "serve", f"--hours={hours}"],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    try:
        with log.open() as lines:
            while process.poll() is None and not keeper.runs(cluster):
                click.echo(lines.read(), nl=False)
                time.sleep(0.1)
            click.echo(lines.read().removesuffix("ready\n"), nl=False)
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        raise
    if process.poll() is not None:
        sys.exit(process.returncode)
    click.echo(f"ready after {time.monotonic() - start:.0f} s; it ends by itself in {hours:g} hours")
    click.echo(f"export KUBECONFIG={cluster.kubeconfig}")


@main.command()
@click.pass_obj
def down(cluster: Cluster) -> None:
    """End it and undo what it changed, also after one that was killed. Images and registered models stay."""
    who = keeper.signed(cluster)
    if who and who.alive:
        os.kill(who.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while who.alive:
            if time.monotonic() > deadline:
                raise Failed(f"process {who.pid} does not end. Look at {who.place(cluster).logs}.")
            time.sleep(0.1)
    elif not host.left(cluster):
        click.echo("not running")
        return
    host.give_back(who.place(cluster) if who else cluster)
    click.echo("stopped")


@main.command()
@click.pass_obj
def status(cluster: Cluster) -> None:
    """Say whether it runs, and where what is; exit code 1 when it does not."""
    if not keeper.runs(cluster):
        who = keeper.signed(cluster)
        click.echo(
            f"not running; process {who.pid} is at one for {who.home}" if who and who.alive else "not running"
        )
        sys.exit(1)
    for name, place in (
        ("kubeconfig", cluster.kubeconfig), ("images", cluster.images),
        ("S3", cluster.s3), ("S3 keys", ":".join(S3_KEYS.values())),
        ("Model Registry", cluster.model_registry), ("volumes", cluster.volumes), ("logs", cluster.logs),
    ):  # fmt: skip
        click.echo(f"{name:16}{place}")
    sys.exit(
        subprocess.run([BIN / "kubectl", f"--kubeconfig={cluster.kubeconfig}", "get", "nodes"]).returncode
    )


@main.command()
@click.pass_obj
def kubeconfig(cluster: Cluster) -> None:
    """Print the path of the administrator's kubeconfig."""
    if not keeper.runs(cluster):
        raise Failed("not running. `scripts/dev-cluster up` starts it.")
    click.echo(cluster.kubeconfig)


@main.command()
@click.argument("stages", nargs=-1)
@click.pass_obj
def load(cluster: Cluster, stages: tuple[str, ...]) -> None:
    """Build the stage images where they changed and push them; the node takes the new ones from then on."""
    if not keeper.runs(cluster):
        raise Failed("not running. `scripts/dev-cluster up` starts it.")
    command = [str(ROOT / "scripts" / "build-images"), "--push", cluster.images, *stages]
    code = subprocess.run(command).returncode
    node.forget_images(cluster)
    sys.exit(code)


@main.command()
@click.option("--hours", default=HOURS, show_default=True, help="It ends by itself after this time.")
@click.pass_obj
def serve(cluster: Cluster, hours: float) -> None:
    """Keep it in the foreground until Ctrl-C."""
    lifecycle.serve(cluster, hours)


def check_programs() -> None:
    """Raise Failed with everything that is missing."""
    ours = (
        *("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl", "coredns"),
        *("trainer", "jobset", "model-registry", "versitygw"),
    )
    theirs = ("etcd", "containerd", "ctr", "runc", "buildah", "docker-registry", "busybox", "openssl", "ip")
    missing = [name for name in ours if not (BIN / name).exists()]
    missing += [name for name in theirs if not shutil.which(name)]
    if missing or not Path("/usr/lib/cni/bridge").exists():
        raise Failed(
            f"missing: {', '.join(missing) or 'the CNI plugins'}. "
            "Install them: `scripts/prerequisites cluster && scripts/setup cluster`."
        )


def run() -> int:
    """Return the command line with our own last sentence."""
    try:
        if os.geteuid() != 0 and not {"-h", "--help"} & set(sys.argv):
            raise Failed("a kubelet needs root: network interfaces, mounts, cgroups. Run it with sudo.")
        if {"up", "serve"} & set(sys.argv) and not {"-h", "--help"} & set(sys.argv):
            check_programs()
        main(prog_name="scripts/dev-cluster")
    except Failed as error:
        click.echo(f"dev-cluster: {error}", err=True)
        return 2
    return 0
