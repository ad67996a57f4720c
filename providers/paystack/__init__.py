"""Paystack: its signature, the identity of its events, and the facts they report about money."""
