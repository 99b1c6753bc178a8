"""What the venue does for its clients, in terms of the ports."""
