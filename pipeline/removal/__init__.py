"""Images leave a collection and do not come back, and the versions that were trained on them are named."""
