"""What an operator asks and does: pending entries, dead letters, conflicts, held-back facts, audit, status, `why`.

The modules here return typed results and print nothing; `cli` parses arguments and shows the results on a terminal.
"""
