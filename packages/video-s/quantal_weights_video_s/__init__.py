"""Weights of codecs `video-s` and `video-s-still` of Quantal, found by an entry point."""
