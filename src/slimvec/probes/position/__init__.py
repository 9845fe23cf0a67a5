"""Where in a text does a model look? Four ways to ask, each with a baseline, and what to do about a bias."""
