"""Frozen networks that look at pictures for the metrics. No loss sees through any of them."""
