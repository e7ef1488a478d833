"""Commands of `atelier`, topic by topic."""
