"""Paintings over HTTP: the same inference as `atelier stylize`, with limits, figures, and models that swap alone."""
