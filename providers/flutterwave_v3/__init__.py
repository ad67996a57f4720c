"""Flutterwave v3: its password, the identity of its events, and what its API says about money."""
