"""Weights of codec `vq` of Quantal, and of the network that conceals damage to its files.

Quantal finds them by the entry point of this package.
"""
