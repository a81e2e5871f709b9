"""One function over very many files, by worker processes or by a cluster that is there already.

Rows are paths, never pixels: workers read, compute and write by themselves, and return what came of
each row. A manifest beside the results tells a second call what is finished.
"""
