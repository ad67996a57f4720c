"""Paddle: its signature, the identity of its events, the facts they report about money, and its list of events."""
