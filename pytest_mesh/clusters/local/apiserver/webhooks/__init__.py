"""Admission webhooks: which ones a request concerns, what is asked of them, and how they are reached.

What belongs here: one webhook at a time. What does not: the order in which
plugins and webhooks run, which is ``admission``'s.
"""
