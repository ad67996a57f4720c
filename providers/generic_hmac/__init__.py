"""Any sender with an HMAC, and the in-house event: signature, identity of events, and facts about money."""
