"""The subcommands of `osft`, a module each; `main` is the command."""

from typing import Any

SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
