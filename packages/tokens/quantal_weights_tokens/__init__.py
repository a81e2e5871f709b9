"""Weights of codec `tokens` of Quantal, which finds them by the entry point below."""
