"""The queue of the target: responsibility, retries, notifications."""
