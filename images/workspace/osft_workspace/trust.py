"""Code that comes with a model runs only when model.trustRemoteCode is true, whatever a library asks for.

Libraries pass `trust_remote_code=True` of their own accord. All such code is loaded through the functions
that are guarded here, in this process and in every Python process that it starts.
"""

import importlib.abc
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from osft_workspace.exits import UserError
from osft_workspace.text import printable

STATE = "OSFT_CODE_OF_MODELS"
"""Environment variable that carries the decision to child processes."""
FORBIDDEN, ALLOWED = "forbidden", "allowed"
GUARD = str(Path(__file__).with_name("guard"))
"""Folder with a sitecustomize.py, which Python runs at its start."""
OWN_KERNELS = "kernels-community/"
"""Kernels that transformers asks for itself; no model names them here, download removes such settings."""
LONGEST_NAME = 200  # characters of a model's name in a sentence


def enforce(*, trusted: bool) -> None:
    """Settle whether code of models may run, for this process and those it starts."""
    os.environ[STATE] = ALLOWED if trusted else FORBIDDEN
    others = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part and part != GUARD]
    os.environ["PYTHONPATH"] = os.pathsep.join([*([] if trusted else [GUARD]), *others])
    if not os.environ["PYTHONPATH"]:
        del os.environ["PYTHONPATH"]
    install()


def forbidden() -> bool:
    """Return whether code of models must not run now."""
    return os.environ.get(STATE) == FORBIDDEN


def refusal(model: object, what: str) -> UserError:
    """Return the sentence for code that would have run."""
    return UserError(
        f"{printable(model, LONGEST_NAME)} asks for {what}, and model.trustRemoteCode is false, so that "
        "code does not run. Choose a model that transformers supports itself, or read the code and set "
        "model.trustRemoteCode (--trust-remote-code) to true."
    )


def install() -> None:
    """Guard the loaders of such code: those that are imported, and those that will be."""
    if not any(isinstance(finder, Guarded) for finder in sys.meta_path):
        sys.meta_path.insert(0, Guarded())
    for name, guard in GUARDS.items():
        if name in sys.modules:
            guard(sys.modules[name])


class Guarded(importlib.abc.MetaPathFinder):
    """Finds the modules of `GUARDS` as usual and guards them as soon as they are loaded."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the usual spec with a guarding loader."""
        if fullname not in GUARDS:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = GuardingLoader(spec.loader, GUARDS[fullname])
                return spec
        return None


class GuardingLoader(importlib.abc.Loader):
    """The usual loader, with a guard behind it."""

    def __init__(self, usual: Any, guard: Callable[[ModuleType], None]) -> None:
        self.usual, self.guard = usual, guard

    def __getattr__(self, name: str) -> Any:
        return getattr(self.usual, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Make the module as usual."""
        module: ModuleType | None = self.usual.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Load the module, then guard it."""
        self.usual.exec_module(module)
        self.guard(module)


def replace(module: ModuleType, name: str, make: Callable[[Any], Any]) -> None:
    """Put a function in the place of a module's own, also where other modules have imported it by name."""
    usual = getattr(module, name, None)
    if usual is None or hasattr(usual, "osft_guard"):
        return
    new = make(usual)
    new.osft_guard = True
    for other in [module, *list(sys.modules.values())]:
        if getattr(other, "__dict__", {}).get(name) is usual:
            setattr(other, name, new)


def guard_dynamic(module: ModuleType) -> None:
    """Guard the loading of Python files of a model (`auto_map`, `custom_generate`)."""

    def resolve(usual: Any) -> Any:
        def resolve_trust_remote_code(
            trust_remote_code: Any, model: Any, local: Any, remote: Any, *args: Any, **more: Any
        ) -> Any:
            if not forbidden():
                return usual(trust_remote_code, model, local, remote, *args, **more)
            if remote and not local:
                raise refusal(model, "Python code that comes with the model")
            return False

        return resolve_trust_remote_code

    def never(usual: Any) -> Any:
        def load(*args: Any, **more: Any) -> Any:
            if forbidden():
                where = more.get("pretrained_model_name_or_path") or (args[1:2] or args[:1] or ["a model"])[0]
                raise refusal(where, "Python code that comes with the model")
            return usual(*args, **more)

        return load

    replace(module, "resolve_trust_remote_code", resolve)
    for name in ("get_class_from_dynamic_module", "get_cached_module_file", "get_class_in_module"):
        replace(module, name, never)


def guard_kernels(module: ModuleType) -> None:
    """Guard the loading of kernels (compiled code) that a configuration names by repository."""

    def known(usual: Any) -> Any:
        def load(name: str, *args: Any, **more: Any) -> Any:
            repository = str(name).rpartition("|")[2].strip()
            if forbidden() and "/" in repository and not repository.startswith(OWN_KERNELS):
                raise refusal(f"the kernel {repository}", "compiled code of a repository")
            return usual(name, *args, **more)

        return load

    for name in ("get_kernel", "load_and_register_attn_kernel"):
        replace(module, name, known)


GUARDS: dict[str, Callable[[ModuleType], None]] = {
    "transformers.dynamic_module_utils": guard_dynamic,
    "transformers.integrations.hub_kernels": guard_kernels,
}
"""Modules through which code that comes with a model is loaded."""
