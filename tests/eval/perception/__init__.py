"""Tests of machine perception; a package, for they share how tiny models are written."""
