"""Paystack: how it signs, which event it is, and what it says about money."""
