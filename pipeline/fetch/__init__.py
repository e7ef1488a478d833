"""Images from the network: known datasets and any address, downloaded whole or not at all, then ingested."""
