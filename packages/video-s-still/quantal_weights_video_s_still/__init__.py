"""Weights of codec `video-s-still` of Quantal, which finds them by the entry point below."""
