"""How the service's model comes about: a market of its own making, samples of it, training, the model and its card."""
