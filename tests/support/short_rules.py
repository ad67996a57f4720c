"""The alert rules in a form that a test can wait for: the same expressions, with shorter durations.

`shortened` is all that changes them. Every `for` is one second, and every window and offset is that of WINDOWS, which
keeps their order. Five limits in seconds, for which a test would wait for minutes, are those of LIMITS. All else stays:
metrics, labels, operators, and every other number.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from tests.support.observability import FOLDER, RULE_FILES

FOR = "1s"

WINDOWS = {
    "5m": "5s", "10m": "8s", "15m": "8s", "30m": "8s", "1h": "10s", "75m": "10s", "2h": "10s",
    "6h": "12s", "1d": "15s", "3d": "60s",
}  # fmt: skip
"""Each window of the rules, and the one that a test waits for."""

LIMITS = {
    "WebhookWorkerStuck": ("> 120", "> 6"),
    "WebhookOldestPendingIdle": ("> 120", "> 4"),
    "WebhookOldestEntryOld": ("> 300", "> 6"),
    "WebhookSourceSilent": ("> 86400", "> 6"),
    "WebhookConfirmationOverdue": ("> 600", "> 6"),
}
"""The limit of a rule in seconds, and the one that a test waits for."""

WINDOW = re.compile(r"(?<=\[)[^\]:]+(?=\])|(?<=offset )\w+")


def shortened(rule: dict[str, Any]) -> dict[str, Any]:
    """Return a rule with shorter durations. Raise KeyError for a window, ValueError for a limit, that is not known."""
    short = dict(rule)
    short["expr"] = WINDOW.sub(lambda found: WINDOWS[found[0]], rule["expr"])
    if "for" in rule:
        short["for"] = FOR
    if rule.get("alert") in LIMITS:
        limit, shorter = LIMITS[rule["alert"]]
        before, found, after = short["expr"].partition(limit)
        if not found:
            raise ValueError(f"{rule['alert']} has another limit than {limit}")
        short["expr"] = before + shorter + after
    return short


def write_short_rules(folder: Path) -> list[Path]:
    """Write both files of rules, shortened, into a folder."""
    written = []
    for name in RULE_FILES:
        document = yaml.safe_load((FOLDER / name).read_text())
        for group in document["groups"]:
            group["rules"] = [shortened(rule) for rule in group["rules"]]
        path = folder / name
        path.write_text(yaml.safe_dump(document, width=1000))
        written.append(path)
    return written
