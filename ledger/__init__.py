"""Money booked once: facts become movements, movements become transfers, and what contradicts stops."""
