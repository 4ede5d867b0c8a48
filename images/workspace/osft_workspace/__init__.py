"""The stage contract as code: what download, train, eval and register agree on, and nothing else.

`images/README.md` states the contract in prose; each module here keeps one part of it.
"""

from osft_workspace.command import StageCommand, overwrite_option, stage_options
from osft_workspace.digests import digest_json, sha256_file, tree_digest
from osft_workspace.exits import Refused, Transient, UserError
from osft_workspace.log import Progress, event
from osft_workspace.paths import Workspace
from osft_workspace.publish import publish_dir, write_atomic
from osft_workspace.record import Record
from osft_workspace.redact import redact_text, redact_url
from osft_workspace.stage import Outcome, Run, run_stage
from osft_workspace.text import excerpt, printable

__all__ = [
    "Outcome",
    "Progress",
    "Record",
    "Refused",
    "Run",
    "StageCommand",
    "Transient",
    "UserError",
    "Workspace",
    "digest_json",
    "event",
    "excerpt",
    "overwrite_option",
    "printable",
    "publish_dir",
    "redact_text",
    "redact_url",
    "run_stage",
    "sha256_file",
    "stage_options",
    "tree_digest",
    "write_atomic",
]
