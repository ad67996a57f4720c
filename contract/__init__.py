"""The contract between gateway and consumers: envelope, Redis keys, payment facts, money. Standard library only."""
