"""What events tell about payments: one reader per provider, each with everything odd about that provider inside it."""

from collections.abc import Mapping

from consumers.facts import in_house, stripe
from consumers.facts.base import Read

READERS: Mapping[str, Read] = {
    "stripe": stripe.read,
    "hmac": in_house.read,
}
"""The one list, by the provider's name. Events of all other providers are recorded, and move no money."""
