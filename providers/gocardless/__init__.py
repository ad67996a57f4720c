"""GoCardless: its signature, the identity and the list of its events, and what its API says about their money."""
