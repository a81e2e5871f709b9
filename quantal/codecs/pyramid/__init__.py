"""Shared by codecs of an entropy model: pyramid transforms, weights files, a search."""
