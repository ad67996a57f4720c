"""The tests. They are a package because a dependency installs another one called `tests`; their folders are not."""
