"""Guard a Python process that a stage starts; Python runs this file first (see `osft_workspace.trust`)."""

import sys


class Guard:
    """Installs the guard when transformers is imported: most processes never do, and start faster."""

    @classmethod
    def find_spec(cls, fullname: str, path: object = None, target: object = None) -> None:
        """Find nothing; the other finders do."""
        if fullname == "transformers":
            sys.meta_path.remove(cls)
            from osft_workspace.trust import install

            install()


sys.meta_path.insert(0, Guard)
