"""Ranking consistency: are the positives of training pairs found by a search over the whole corpus?"""
