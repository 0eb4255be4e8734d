"""Hypothesis strategies: small configurations and requests that nearly, or just, match them.

What belongs here: what is generated, and how it is made smaller. What does not: sending, judging, and expectations
(``oracle``).
"""
