"""The ledger of calls, its rollups, and everything computed from them."""
