"""How good a collection is to train on, told before training is spent: facts, a score, advice, and a page."""
