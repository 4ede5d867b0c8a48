"""What helm makes of values, and what it finds wrong with them."""

import re
import subprocess
import tempfile
from collections.abc import Sequence

import yaml

from osft_pipeline import misspelt
from osft_pipeline.chart import Object, chart, find_helm
from osft_pipeline.terminal import Problems
from osft_workspace import exits

# What helm puts around the chart's own sentences.
LOGGED = re.compile(r"\A(?:level=\w+ msg=.*\n)+(?=Error: )")
"""What helm 4 logs before it says the same as its error."""
WRAPPING = re.compile(r"^Error: (?:\w+ FAILED: )?(?:execution error at \([^)]*\): )?|\n*Use --debug flag .*")


class HelmFailed(Problems):
    """Helm failed; the message is helm's own, and that for values of the wrong name or type is ours."""

    def __init__(self, said: str) -> None:
        super().__init__(WRAPPING.sub("", LOGGED.sub("", said.strip())))


class ClusterAway(HelmFailed):
    """Helm failed because the cluster does not answer."""

    exit_code = exits.TRANSIENT


def template(name: str, flags: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run `helm template NAME` to its end."""
    command = [find_helm(), "template", name, str(chart()), *flags]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def render(name: str, flags: Sequence[str]) -> list[Object]:
    """Return what `helm template NAME` renders as objects. Raises HelmFailed with helm's message."""
    done = template(name, flags)
    if done.returncode != 0:
        said = done.stderr or f"helm ended with code {done.returncode} and no message."
        raise HelmFailed(explained(said, name, flags))
    things = yaml.safe_load_all(done.stdout)
    return [thing for thing in things if isinstance(thing, dict) and thing.get("kind")]


def explained(said: str, name: str, flags: Sequence[str]) -> str:
    """Return helm's message; for values that the schema does not allow with similar names and all problems.

    Helm stops at the schema, so that the chart's own rules are asked without it.
    """
    if misspelt.SCHEMA not in said:
        return said
    return misspelt.problems(said, template(name, [*flags, "--skip-schema-validation"]).stderr)


def render_here(name: str, flags: Sequence[str]) -> list[Object]:
    """Return what `render` does for a run on this machine, which pulls no image and so needs no registry."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump({"images": local_images()}, file)
        file.flush()
        return render(name, [f"--values={file.name}", *flags])


def local_images() -> Object:
    """Return values that name the images of this machine, where the chart itself names none."""
    images = yaml.safe_load((chart() / "defaults.yaml").read_text())["images"]
    registry = {} if images["registry"] else {"registry": "localhost"}
    return registry if any(images["evalVllm"].values()) else {**registry, "evalVllm": {"tag": "vllm"}}
