"""How the built-in samples are drawn: scenes rendered like photographs, and the same kinds of scenes painted."""
