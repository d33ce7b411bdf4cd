"""Providers in the browser and by REST: connecting, testing, credentials, models and prices."""
