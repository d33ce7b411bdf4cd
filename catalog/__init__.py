"""Providers, credentials, models and prices."""
