"""Symbols, decimals and their ticks: no I/O here."""
