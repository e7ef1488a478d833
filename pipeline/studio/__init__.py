"""The painter's pages: paint, the styles with their model cards, and what the workspace is doing."""
