"""A plain ASGI service."""
