"""Weights of codec `hyperprior` of Quantal, which finds them by the entry point below."""
