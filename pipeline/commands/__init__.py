"""Commands of `atelier`, one module a topic."""
