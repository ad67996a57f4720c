"""The console: the pages on which a person sees and does what the commands of `operations/cli` show and do."""
