"""Weights of codec `vq`, and of the network that conceals damage of Quantal, which finds them by the entry point below."""
