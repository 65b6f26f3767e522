"""A virtual radio front end and its surroundings: an own program that shares no code with the link.

``python -m tests.hil.frontend --help``. It may import nothing of the project outside this folder.
"""
