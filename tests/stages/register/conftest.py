"""What the tests of register share: the real registry, a run that is ready, and starting the stage."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.registry import Certificates, Registry, make_certificates, shared_registry
from tests.support.sandbox import executable, stage_env
from tests.support.tuned_run import make_tuned_run

RUN = "demo-0a1b2c3d"


@pytest.fixture(scope="session")
def registry() -> Registry:
    return shared_registry()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("ca"))


@dataclass
class Stage:
    """`osft-register` over one workspace."""

    workspace: Path
    scratch: Path
    address: str
    name: str

    def command(self, *args: str, run_id: str = RUN) -> list[str]:
        common = [executable("register"), "--workspace", str(self.workspace), "--run-id", run_id]
        return [*common, f"--address={self.address}", f"--name={self.name}", "--claim=osft-ws", *args]

    def start(
        self, *args: str, run_id: str = RUN, env: dict[str, str] | None = None
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*args, run_id=run_id),
            env=stage_env(self.workspace, self.scratch, env),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *args: str, run_id: str = RUN, env: dict[str, str] | None = None) -> tuple[int, str]:
        """Exit code and everything printed."""
        process = self.start(*args, run_id=run_id, env=env)
        output, _ = process.communicate(timeout=120)
        return process.returncode, output

    def done(self, *args: str, run_id: str = RUN, env: dict[str, str] | None = None) -> dict[str, Any]:
        """Return the record of a start that must end well."""
        code, printed = self.run(*args, run_id=run_id, env=env)
        assert code == 0, printed
        return self.record(run_id)

    def record(self, run_id: str = RUN) -> dict[str, Any]:
        return dict(json.loads((self.workspace / "runs" / run_id / "register" / "record.json").read_text()))


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with one tuned and evaluated run; a module's tests share it, each with its own name."""
    workspace = tmp_path_factory.mktemp("ready") / "workspace"
    make_tuned_run(workspace, RUN)
    return workspace


@pytest.fixture
def stage(ready: Path, registry: Registry, tmp_path: Path, request: pytest.FixtureRequest) -> Stage:
    return Stage(ready, tmp_path, registry.address, request.node.name[:150])


@pytest.fixture
def fresh_stage(registry: Registry, tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., Stage]:
    """A stage over its own workspace."""

    def make(folder: str = "workspace", **run: Any) -> Stage:
        workspace = tmp_path / folder
        make_tuned_run(workspace, RUN, **run)
        return Stage(workspace, tmp_path, registry.address, request.node.name[:150])

    return make
