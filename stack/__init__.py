"""How it is run: the embedded servers, the process manager, Docker Compose, and the demonstration."""
