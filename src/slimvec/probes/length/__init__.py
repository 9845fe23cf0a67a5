"""How long may a text be? Likeness of unrelated texts and a needle's score by length, with and without rope scaling."""
