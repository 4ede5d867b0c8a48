"""Which lines of our own code the inputs reach: what `make fuzz` builds its next inputs on, and a figure."""

import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any

Line = tuple[str, int]


class Covered:
    """Counts the lines of some modules as they run; a line costs time only until it has been seen."""

    def __init__(self, modules: Iterable[ModuleType]) -> None:
        self.left = {
            str(path): lines_of(path)
            for module in modules
            for path in [Path(module.__file__ or "")]
            if path.suffix == ".py"
        }
        self.total = sum(map(len, self.left.values()))

    @property
    def seen(self) -> int:
        """Lines that have run."""
        return self.total - sum(map(len, self.left.values()))

    def start(self) -> None:
        """Watch this thread and those that it starts."""
        sys.settrace(self.enter)
        threading.settrace(self.enter)

    def enter(self, frame: FrameType, *_: Any) -> Any:
        """Follow a function while some of its lines have not run."""
        left = self.left.get(frame.f_code.co_filename)
        if not left or left.isdisjoint(line for *_, line in frame.f_code.co_lines()):
            return None

        def line(inner: FrameType, event: str, _: Any) -> Any:
            if event == "line":
                left.discard(inner.f_lineno)
            return line

        return line


def lines_of(path: Path) -> set[int]:
    """Return the lines inside the functions of a file: those of the module itself run when it is imported."""
    found: set[int] = set()
    inside = list(functions(compile(path.read_text(), str(path), "exec")))
    for code in inside:
        lines = {line for *_, line in code.co_lines() if line}
        found |= lines - {code.co_firstlineno}
    return found


def functions(code: CodeType) -> Iterable[CodeType]:
    """Yield the functions in a piece of code; bodies of classes run on import too."""
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            if inner.co_flags & 0x2:  # CO_NEWLOCALS: a function, not the body of a class
                yield inner
            yield from functions(inner)


def ours(*names: str) -> list[ModuleType]:
    """Return the loaded modules of these names and of the packages with these names."""
    return [
        module
        for name, module in sorted(sys.modules.items())
        if any(name == own or name.startswith(f"{own}.") for own in names)
    ]
