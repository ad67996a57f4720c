"""The tests. A package, because a dependency of theirs installs another one called `tests`; their folders are none."""
