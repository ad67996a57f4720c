"""Comparing what arrived with the provider's own list of events or payments, and adding what is missing.

`run` does it once for one source; `schedule` again and again for all sources that want it; `store` has what was found.
"""
