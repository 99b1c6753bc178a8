"""CIFT Markets: a trading venue. ``api`` and ``adapters`` stand on ``domain``; nothing points back."""

__version__ = "0.1.0"
