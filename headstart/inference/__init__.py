"""A trained classifier in use: predict, and see where it looked."""
