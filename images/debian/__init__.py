"""Roots made of Debian packages: lock, resolve, fetch, unpack."""
