"""Asking a provider's API about events that their signature does not prove, and booking what it says.

The only part of the consumers that speaks HTTP, and only for sources with `confirm = "api"`. The worker records such an
event as any other, holds its facts back, and writes in the same transaction that it is to be asked about. A task of
each worker process then asks, outside of any transaction, and books what was fetched: see docs/decisions/.
"""
