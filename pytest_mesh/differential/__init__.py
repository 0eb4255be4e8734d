"""Compares what two meshes do with the same request: answers in one form, shares of answers, differences known before.

What belongs here: comparison and how it is told, all of it pure. What does not: sending (``traffic``), what is right
(``oracle``), what is sent (``strategies``).
"""
