"""Talks to the Kubernetes API: lists, watches, writes, token reviews, all as raw JSON.

The only room that imports ``kubernetes``. It knows resource names and wire rules, never what an object means.
"""
