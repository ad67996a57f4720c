"""What a person does: pending entries, dead letters, conflicts, audit. `cli` shows it on a terminal."""
