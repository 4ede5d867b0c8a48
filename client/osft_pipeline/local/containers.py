"""A step as a container of podman or docker, from its image, as the chart renders it."""

import csv
import io
from collections.abc import Mapping, Sequence

from osft_pipeline.chart import Object
from osft_pipeline.check.quantity import amount
from osft_pipeline.local.children import Launch
from osft_pipeline.local.engines import Engine
from osft_pipeline.local.places import Machine, Places
from osft_pipeline.local.plan import RUN_ID, Step, asked_gpus
from osft_pipeline.local.variables import PROXIES, WAIT_POLICY, declared, expand, folders, is_secret
from osft_pipeline.terminal import Problems

NVIDIA = "nvidia.com/"
TERMINATION_LOG = "/dev/termination-log"


class Containers:
    """Starts each step as one `podman run` or `docker run`."""

    def __init__(self, engine: str) -> None:
        self.engine = Engine(engine)

    def check(self, steps: Sequence[Step]) -> None:
        """Raise UserError or Problems for what the engine lacks: an answer, images, devices."""
        self.engine.require()
        self.engine.require_images(str(step.container["image"]) for step in steps)
        problems = [
            f"stage {stage} asks for {resource}; --engine {self.engine.name} passes on only {NVIDIA}gpu. "
            f"Add --set {stage}.gpus=0, or leave out --engine."
            for stage, asked in asked_gpus(steps).items()
            for resource in asked
            if not resource.startswith(NVIDIA)
        ]
        if problems:
            raise Problems("\n".join(problems))
        for step in steps:
            self.engine.clear(container_name(step), step.run_id)

    def launch(self, step: Step, machine: Machine, places: Places) -> Launch:
        """Return the engine's command. Paths stay as rendered: a container sees none of this machine's."""
        env = declared(step, machine)
        secrets = [name for name in env if is_secret(step, name)]
        command, *first = step.container.get("command") or [""]
        args = [*first, *(step.container.get("args") or [])]
        places.termination_log.touch(mode=0o600)
        words = [
            *("run", "--rm", "--pull=never"),
            *(f"--name={container_name(step)}", f"--label={RUN_ID}={step.run_id}"),
            f"--cidfile={places.container_id}",
            # The loopback addresses of a registry, an S3 server or a hub mean the same as for a process.
            "--network=host",
            *self.engine.user(),
            *security(step),
            *limits(step),
            *gpus(step, self.engine.name, machine.env),
            *(mount(str(folder), path, read_only(step, path)) for path, folder in places.mounts.items()),
            mount(str(places.termination_log), TERMINATION_LOG),
            *variables(env | folders(step, machine), secrets, machine.env),
            f"--workdir={step.container.get('workingDir') or '/'}",
            *([f"--entrypoint={command}"] if command else []),
            str(step.container["image"]),
            *(expand(str(word), env) for word in args),
        ]
        return Launch(
            command=[self.engine.program, *words],
            env={**machine.env, **{name: env[name] for name in secrets}},
            named=secrets,
            engine=self.engine.program,
        )


def container_name(step: Step) -> str:
    """Return the name of a step's container; two starts of one run cannot have it at the same time."""
    return f"osft-{step.run_id or step.job}-{step.stage}"


def variables(env: Mapping[str, str], secrets: Sequence[str], here: Mapping[str, str]) -> list[str]:
    """Return the flags for variables. Every user can read a command line: Secrets and proxies go by name."""
    by_name = [*(name for name in PROXIES if name in here and name not in env), *secrets]
    plain = {**dict([WAIT_POLICY]), **{name: value for name, value in env.items() if name not in secrets}}
    return [
        *(f"--env={name}" for name in by_name),
        *(f"--env={name}={value}" for name, value in plain.items()),
    ]


def security(step: Step) -> list[str]:
    """Return the flags for what the rendered container may do."""
    context = step.container.get("securityContext") or {}
    dropped = (context.get("capabilities") or {}).get("drop") or []
    return [
        # Otherwise SELinux denies the mounted folders, or they would have to be given another label for good.
        "--security-opt=label=disable",
        *(["--security-opt=no-new-privileges"] if context.get("allowPrivilegeEscalation") is False else []),
        *(["--read-only"] if context.get("readOnlyRootFilesystem") else []),
        *(f"--cap-drop={name}" for name in dropped),
    ]


def limits(step: Step) -> list[str]:
    """Return the flags for memory and shared memory. Requests are about sharing a node, and not passed on."""
    memory = ((step.container.get("resources") or {}).get("limits") or {}).get("memory")
    shm = {mount["name"] for mount in step.container.get("volumeMounts") or [] if is_shm(mount)}
    sizes = [
        volume["emptyDir"]["sizeLimit"]
        for volume in step.pod["spec"].get("volumes") or []
        if volume["name"] in shm and (volume.get("emptyDir") or {}).get("sizeLimit")
    ]
    given = [("--memory", memory)] if memory else []
    return [f"{flag}={int(amount(size))}b" for flag, size in (*given, *(("--shm-size", s) for s in sizes))]


def is_shm(mount: Object) -> bool:
    """Return whether a mount is the shared memory, which an engine makes itself."""
    return str(mount["mountPath"]).rstrip("/") == "/dev/shm"


def gpus(step: Step, engine: str, env: Mapping[str, str]) -> list[str]:
    """Return the flags for the GPUs that the container asks for: those of CUDA_VISIBLE_DEVICES first."""
    count = sum(number for asked in asked_gpus([step]).values() for number in asked.values())
    visible = (
        env.get("CUDA_VISIBLE_DEVICES", "").split(",") if env.get("CUDA_VISIBLE_DEVICES") else range(count)
    )
    chosen = [str(name).strip() for name in visible][:count]
    if not chosen:
        return []
    if engine == "podman":
        return [f"--device={NVIDIA}gpu={name}" for name in chosen]
    return [f'--gpus="device={",".join(chosen)}"']  # the quotes are for docker, which reads the list as CSV


def read_only(step: Step, path: str) -> bool:
    """Return whether the container mounts a path read-only."""
    mounts = step.container.get("volumeMounts") or []
    return any(mount.get("readOnly") for mount in mounts if mount["mountPath"].rstrip("/") == path)


def mount(source: str, target: str, read_only: bool = False) -> str:
    """Return the flag that mounts a file or folder; engines read it as CSV, and names may hold commas."""
    text = io.StringIO()
    fields = ["type=bind", f"source={source}", f"target={target}", *(["readonly"] if read_only else [])]
    csv.writer(text, lineterminator="").writerow(fields)
    return f"--mount={text.getvalue()}"
