"""Write the bill of materials of an image as CycloneDX JSON: its Python and Debian packages.

sbom.py TREE NAME VERSION ID TIME   (the image's files, its name, version, id and date, ISO 8601)
"""

import sys
import uuid
from collections.abc import Iterator
from datetime import datetime
from email.message import Message
from email.parser import Parser
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import cast

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

HOME = "opt/osft"
LONGEST_NAME = 60  # some packages put the text of their license where its name belongs


def fields(path: Path) -> dict[str, str]:
    """Return the `key = value` lines of a file, with or without spaces and quotes."""
    pairs = (line.partition("=") for line in path.read_text().splitlines() if "=" in line)
    return {key.strip(): value.strip().strip('"') for key, _, value in pairs}


def licenses(package: Distribution) -> list[License]:
    """Return the license a Python package names: as an expression, in a field, or among its classifiers."""
    data = cast(Message, package.metadata)
    named = data["License-Expression"] or data["License"] or ""
    if not named or len(named) > LONGEST_NAME or "\n" in named:
        kinds = [kind for kind in data.get_all("Classifier", []) if kind.startswith("License ::")]
        named = kinds[0].rpartition(" :: ")[2] if kinds else ""
    return [LicenseFactory().make_from_string(named)] if named else []


def python_packages(tree: Path) -> Iterator[Component]:
    """Python itself and what is installed for it."""
    version = fields(tree / HOME / "pyvenv.cfg")["version_info"]
    yield library(PackageURL("generic", name="python", version=version))
    for site in tree.glob(f"{HOME}/lib/python3*/site-packages"):
        for package in distributions(path=[str(site)]):
            name = package.metadata["Name"].lower().replace("_", "-")
            yield library(PackageURL("pypi", name=name, version=package.version), licenses(package))


def debian_packages(tree: Path) -> Iterator[Component]:
    """Yield what dpkg knows as installed; nothing for a base of another kind."""
    status = tree / "var/lib/dpkg/status"
    system = fields(tree / "etc/os-release") if status.exists() else {}
    for block in status.read_text().split("\n\n") if status.exists() else []:
        entry: Message = Parser().parsestr(block)
        if entry["Status"] == "install ok installed":
            where = {
                "arch": entry["Architecture"],
                "distro": f"{system['ID']}-{system.get('VERSION_ID', 'sid')}",
            }
            yield library(PackageURL("deb", system["ID"], entry["Package"], entry["Version"], where))


def library(address: PackageURL, terms: list[License] | None = None) -> Component:
    """One entry of the bill."""
    return Component(
        type=ComponentType.LIBRARY,
        name=address.name,
        version=address.version,
        purl=address,
        bom_ref=address.to_string(),
        licenses=terms or [],
    )


def main(tree: Path, name: str, version: str, image: str, time: str) -> str:
    """The bill of the image whose files are below `tree`; the same text for the same image."""
    bom = Bom(serial_number=uuid.uuid5(uuid.NAMESPACE_OID, image))
    bom.metadata.timestamp = datetime.fromisoformat(time)
    bom.metadata.component = Component(
        type=ComponentType.CONTAINER, name=name, version=version, bom_ref=image
    )
    bom.components.update([*python_packages(tree), *debian_packages(tree)])
    bom.register_dependency(bom.metadata.component, bom.components)
    return str(JsonV1Dot6(bom).output_as_string(indent=1))


if __name__ == "__main__":
    print(main(Path(sys.argv[1]), *sys.argv[2:]))
