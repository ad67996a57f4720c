"""Checkout.com: signature, identity of events, facts about money, and what its API says happened to a payment."""
