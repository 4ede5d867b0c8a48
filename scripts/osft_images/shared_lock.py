"""Print what two locks have in common: the train and eval images install it as one layer that they share.

python3 scripts/osft_images/shared_lock.py LOCK LOCK
"""

import sys
from pathlib import Path


def entries(lock: Path) -> dict[str, tuple[str, str]]:
    """`name==version` -> its marker and the lines of its hashes."""
    found: dict[str, tuple[str, str]] = {}
    lines = [line for line in lock.read_text().splitlines() if line and not line.lstrip().startswith("#")]
    for block in "\n".join(lines).replace("\\\n    ", "\t").splitlines():
        requirement, *hashes = block.split("\t")
        pin, _, marker = (part.strip() for part in requirement.partition(";"))
        found[pin] = marker, "".join(f" \\\n    {text.strip()}" for text in hashes)
    return found


def shared(first: Path, second: Path) -> str:
    """Return the requirements that both locks pin to one version, each wanted where both want it."""
    ours, theirs = entries(first), entries(second)
    lines = [f"# What {first} and {second} agree on. Written by scripts/lock."]
    for pin in sorted(ours.keys() & theirs.keys()):
        markers = sorted({ours[pin][0], theirs[pin][0]} - {""})
        marker = markers[0] if len(markers) == 1 else " and ".join(f"({marker})" for marker in markers)
        lines.append(pin + (f" ; {marker}" if marker else "") + ours[pin][1])
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(shared(Path(sys.argv[1]), Path(sys.argv[2])))
