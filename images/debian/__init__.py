"""Debian packages: found, checked, resolved, locked, fetched and unpacked."""
