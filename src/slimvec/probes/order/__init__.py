"""Word order: does a model tell a sentence from the same words in another order?"""
