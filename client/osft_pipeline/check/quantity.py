"""Amounts as Kubernetes writes them."""

import re

UNITS = {"m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
BINARY = {f"{unit}i": 1024.0**power for power, unit in enumerate("KMGTPE", start=1)}
QUANTITY = re.compile(r"([+-]?[0-9.]+)(?:e([+-]?\d+)|([A-Za-z]*))")


def amount(text: object) -> float:
    """Return a quantity such as 500m, 2Gi or 1e3 as a number; 0 for what is not one."""
    found = QUANTITY.fullmatch(str(text))
    if found is None:
        return 0.0
    number, exponent, unit = found.groups()
    factor = 10.0 ** int(exponent) if exponent else {**UNITS, **BINARY}.get(unit or "", 0.0)
    return float(number) * factor
