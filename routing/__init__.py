"""The gateway: composes everything below into a decision, calls providers, records."""
