"""Bytes in, event out: HTTP, providers and one write to Redis. Never Postgres."""
