"""The demonstration: signed events, killed workers, and what became of them."""
