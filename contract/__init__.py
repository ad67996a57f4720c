"""What the gateway and the consumers must agree on: the envelope and every Redis name. Standard library only."""
