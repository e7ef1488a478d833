"""Commands of `atelier`, a module for each topic, which adds its own to the command line."""
