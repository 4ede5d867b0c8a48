"""What the wheel carries from outside this folder; an editable install uses it where it lies."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

CARRIED = {
    "../charts/osft-pipeline": "osft_pipeline/chart",
    "../docs/migration.md": "osft_pipeline/migration.md",
    # The stages' package that says how records are read and text is shown.
    "../images/workspace/osft_workspace": "osft_workspace",
    # The style of the report, which the page of `osft compare` has too.
    "../images/eval/osft_eval/report/style.css": "osft_pipeline/compare/report.css",
    # What `osft plan` counts.
    "../images/plan/osft_plan": "osft_plan",
    # What `osft prune` removes, here and in a pod that mounts a claim.
    "../images/ops/osft_ops": "osft_ops",
}


class CarriedFiles(BuildHookInterface):
    """Adds these files, which hatchling's own table copies into an editable install, to grow old."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add them to a wheel that is not editable."""
        if version != "editable":
            build_data["force_include"].update(CARRIED)
