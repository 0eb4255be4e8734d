"""What a run proves and how it is told: outcomes, exit code, ConformanceReport, table, a failure's bundle.

What belongs here: turning evidence into words and files. What does not:
gathering evidence (``plugin``) and deciding a check (``traffic``, the suite).
"""
