"""`python -m gateway check`: say why a recorded request does not verify."""
