"""Whether each source's credentials for its provider's API are accepted: one harmless read of each."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from contract.accounts import PostingRulesError
from operations.units import printable
from providers.api import Api, ApiError, ApiRefusedError, Limits, NotFoundError
from providers.apis import AccessError, access_keys, build_apis
from runtime.sources_file import read_access_tables

ASKING_TIMEOUT_S = 10.0
"""The limit for one API's answer. All are asked at the same time."""

REQUEST_TIMEOUT_S = 5.0
ATTEMPTS_MAX = 2


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found, a sentence each, which names the source and no secret.

    `problems` are settings that cannot be used, `warnings` APIs that could not be asked now, `answers` those that
    accepted the credentials.
    """

    problems: list[str]
    warnings: list[str]
    answers: list[str]


def read_apis(path: Path, environment: Mapping[str, str]) -> tuple[dict[str, Api], list[str]]:
    """Return the API of each source that has credentials for it, by the source's name, and what is wrong with others.

    Asks nobody.
    """
    problems: list[str] = []
    try:
        return build_apis(read_access_tables(path, environment, access_keys, problems)), problems
    except AccessError as error:
        return {}, [*problems, *error.problems]
    except PostingRulesError as error:
        return {}, [*problems, f"{error}"]


async def check_apis(apis: Mapping[str, Api]) -> Checked:
    """Ask each API once, all at the same time, within ASKING_TIMEOUT_S."""
    checked = Checked([], [], [])
    await asyncio.gather(*(_check(source, api, checked) for source, api in apis.items()))
    for sentences in (checked.problems, checked.warnings, checked.answers):
        sentences.sort()
    return checked


async def _check(source: str, api: Api, checked: Checked) -> None:
    await api.open(Limits(timeout_s=REQUEST_TIMEOUT_S, attempts_max=ATTEMPTS_MAX))
    try:
        async with asyncio.timeout(ASKING_TIMEOUT_S):
            account = await api.check()
    except (ApiRefusedError, NotFoundError) as error:
        names = ", ".join(api.Access.credentials)
        checked.problems.append(f"[{source}] {names}: {error}")
    except TimeoutError:
        checked.warnings.append(_unavailable(source, api, f"no answer within {ASKING_TIMEOUT_S:g} s"))
    except ApiError as error:
        checked.warnings.append(_unavailable(source, api, f"{error}"))
    else:
        checked.answers.append(f"[{source}] The API of {api.name} accepts the credentials: {printable(account)}")
    finally:
        await api.close()


def _unavailable(source: str, api: Api, reason: str) -> str:
    return f"[{source}] The API of {api.name} could not be asked, so that its credentials are not checked: {reason}"
