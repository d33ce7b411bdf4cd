"""The product's own benchmark; see README.md."""
