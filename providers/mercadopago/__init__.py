"""Mercado Pago: signature, identity of events, and facts about money."""
