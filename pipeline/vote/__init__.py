"""Painters' votes: two paintings of one photograph, and which a person would rather hang, not knowing whose it is."""
