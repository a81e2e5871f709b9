"""Evaluation: codecs side by side on real bytes, for eyes and for machines."""
