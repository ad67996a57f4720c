"""The notifier: signed messages to NOTIFY_URL about what waits for a person, for those without Alertmanager."""
