"""API keys in the browser and by REST: their list, each one's page, and what it prefers."""
