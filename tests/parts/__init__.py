"""Real parts that tests run: registries, other people's tools, a proxy that makes trouble."""
