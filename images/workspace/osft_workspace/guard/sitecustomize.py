"""Guard a Python process that a stage starts; Python runs this file first (see `osft_workspace.trust`)."""

from osft_workspace.trust import install

install()
