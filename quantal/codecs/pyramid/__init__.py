"""Shared by `hyperprior` and `context-*`: pyramid transforms, their weights files, a search."""
