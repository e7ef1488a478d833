"""Everything Prefect: when things run, under which limits, and what happens around them."""
