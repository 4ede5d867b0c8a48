"""Names of parameters in an address that prove who may, and do not say what is fetched.

The chart refuses the same names (`templates/problems/_addresses.tpl`), because values are readable in the
cluster's objects; tests/hostile/test_texts.py compares the two. The pattern is valid in Go, too.
"""

import re

NAME = r"[\w.%+\[\]-]*"
SIGNS = (
    rf"x-(amz|goog|ms)-{NAME}"
    rf"|{NAME}(token|signature|secret|passw(or)?d|passphrase|credentials?|authorization|session[_-]?id)"
    rf"|{NAME}(api|access|subscription|account|storage|shared|secret|private|signing)[-_.]?key([-_.]?id)?"
    r"|googleaccessid|key-pair-id|policy|expires|sig|hmac|jwt|sas"
)
"""What each of these names holds is a credential, a signature or a part of one."""
MAY_SIGN = "key|auth|pass|pwd"
"""Names that hold a credential on some servers and say what is fetched on others.

Helm refuses them; for a stage they say what was asked.
"""
SIGNING = re.compile(SIGNS, re.IGNORECASE)
