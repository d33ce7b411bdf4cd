"""More addresses, a module for each part of the product; ``url_table`` takes in their ``ROWS``."""
