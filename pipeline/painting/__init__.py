"""Paint pictures of any size: the working size, tiles without seams, detail at full size, metadata."""
