"""What a person asks the mesh: configuration of a proxy, its state, why a request goes where it goes.

What belongs here: reading dumps, making them from files, following a request, and the
commands that print it. What does not: making configuration (`xds`), rules (`validation`).
"""
