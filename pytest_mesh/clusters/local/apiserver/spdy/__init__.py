"""SPDY/3.1, as much as kubectl speaks: one connection, many streams, headers that say what a stream is for.

What belongs here: frames as bytes (pure) and a session over any byte pipe. What does
not: what the streams of exec or port-forward mean.
"""
