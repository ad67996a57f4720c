"""`python -m operations status|pending|why|dead|…`: see and act."""

import os
import sys
from pathlib import Path

from dotenv import dotenv_values
from pydantic import ValidationError

from consumers.settings import Settings
from operations.cli import main as cli

EXIT_SETTINGS = 2


def read_settings() -> Settings:
    """Read the environment, then `.env`, then what the running stack chose."""
    data_dir = os.environ.get("DATA_DIR") or dotenv_values(".env").get("DATA_DIR") or ".data"
    return Settings(_env_file=(Path(data_dir) / "stack.env", ".env"))  # type: ignore[call-arg] # the rest is read


def main(argv: list[str]) -> int:
    """Run one command and return its exit code; 2 where the settings cannot be used."""
    arguments = cli.parse(argv)
    try:
        settings = read_settings()
    except ValidationError as error:
        problems = [each for each in error.errors() if each["type"] != "default_factory_not_called"]
        lines = [f"  {'.'.join(map(str, each['loc'])).upper()}: {each['msg']}" for each in problems]
        sys.stderr.write("\n".join(["The settings cannot be used:", *lines]) + "\n")
        return EXIT_SETTINGS
    return cli.main(arguments, settings)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
