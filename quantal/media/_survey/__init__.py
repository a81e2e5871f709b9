"""Surveys of picture files: everything that a file holds beside its pixels, format by format.

Each lists what it carries and names everything else, so that nothing unknown is lost silently.
"""

from __future__ import annotations
