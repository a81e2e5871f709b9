"""Weights of codec `wavelet` of Quantal, which finds them by the entry point below."""
