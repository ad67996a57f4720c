"""The version of this release. `version` in pyproject.toml is the one place where it is written."""

import tomllib
from importlib import metadata
from pathlib import Path

DISTRIBUTION = "payment-webhooks"


def version() -> str:
    """Return the version: of the checkout these files are in, else of the installed wheel."""
    pyproject = Path(__file__).parents[1] / "pyproject.toml"
    if pyproject.exists():
        project = tomllib.loads(pyproject.read_text(encoding="utf-8")).get("project", {})
        if project.get("name") == DISTRIBUTION:
            return str(project["version"])
    return metadata.version(DISTRIBUTION)
