"""A digest of everything that a gateway is configured with, by which the stack notices that one has to be replaced."""

from collections.abc import Mapping

from gateway.settings import Settings
from gateway.sources import resolve_sources
from runtime.settings import settings_digest
from runtime.tracing import otel_settings


def digest(settings: Settings, environment: Mapping[str, str]) -> str:
    """Return a digest of all settings, sources with their secrets, TLS files, and where spans go."""
    tls = [file.read_bytes() for file in (settings.gateway_tls_cert, settings.gateway_tls_key) if file]
    spans = otel_settings(environment)
    return settings_digest(settings, resolve_sources(settings.sources_file, environment), tls, spans)
