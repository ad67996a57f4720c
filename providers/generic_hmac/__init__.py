"""Any sender with an HMAC, and the in-house event: how it signs, which event it is, and what it says about money."""
