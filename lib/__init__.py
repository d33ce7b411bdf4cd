"""A few nouns without Django models: money, errors, hashing, ids, pages."""
