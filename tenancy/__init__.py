"""Organizations, members and roles, API keys, the audit trail, and the wall between them."""
