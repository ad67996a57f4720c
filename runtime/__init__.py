"""What every program needs once."""
