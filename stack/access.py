"""What sources.toml says about asking providers' APIs: who gets which secret, and whether anything is scheduled."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from contract.accounts import PostingRulesError
from providers.apis import access_keys, credentials_of
from runtime.references import referred_names
from runtime.settings import read_env_files
from runtime.sources_file import read_access_tables, read_references, read_setting

Table = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Access:
    """The names of variables that each program may read for `${NAME}` in sources.toml.

    The gateway gets what verifies signatures; workers the access to the APIs by which they confirm events; the
    reconciler that to all APIs.
    """

    gateway: frozenset[str]
    workers: frozenset[str]
    reconciler: frozenset[str]
    reconciles: bool
    """Whether any source is compared with its provider's list on a schedule."""

    @property
    def not_for_workers(self) -> frozenset[str]:
        """The names of credentials that workers have no use for."""
        return self.reconciler - self.workers - self.gateway

    @property
    def not_for_gateway(self) -> frozenset[str]:
        """The names of credentials, of which the gateway reads none."""
        return self.reconciler - self.gateway


def read_access(path: Path) -> Access:
    """Return what the file says. One that cannot be read names nothing: the gateway reports what is wrong with it."""
    named = _names_in(path)
    try:
        everywhere = _names(path, lambda table: table.keys() - credentials_of(table.get("provider")))
        confirming = _names(path, lambda table: access_keys(table.get("provider")) if table.get("confirm") else ())
        asking = _names(path, lambda table: access_keys(table.get("provider")))
        credentials = _names(path, lambda table: credentials_of(table.get("provider")))
        reconciles = bool(read_setting(path, "reconcile_every"))
    except PostingRulesError:
        return Access(named, frozenset(), frozenset(), reconciles=False)
    return Access(named - (credentials - everywhere), confirming, asking, reconciles)


def access_values(path: Path, environ: Mapping[str, str]) -> str:
    """Return all that the access to APIs is configured with, as a text to make a digest of: it has the secrets."""
    try:
        return repr(sorted(read_access_tables(path, read_env_files() | dict(environ), access_keys, []).items()))
    except PostingRulesError:
        return ""  # the gateway reports it, so that nothing is started


def _names_in(path: Path) -> frozenset[str]:
    try:
        return frozenset(referred_names(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):  # the gateway, which needs the file, reports it
        return frozenset()


def _names(path: Path, keys: Callable[[Table], Collection[str]]) -> frozenset[str]:
    return frozenset(read_references(path, keys))
