"""The command line: each command has a file that adds its arguments, calls `operations`, and shows the result."""
