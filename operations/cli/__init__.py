"""The command line's face of `operations`."""
