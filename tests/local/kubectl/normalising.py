"""Takes out of kubectl's output what belongs to one run: names that were drawn, addresses, times, identities, widths.

Pure. What it replaces is listed in docs/kubectl.md.
"""

from __future__ import annotations

import re

_DRAWN = "[bcdfghjklmnpqrstvwxz2456789]"
_WEEKDAY = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"

WORDS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"(?<=\S)[ \t]{2,}", "  "),
        (r"[ \t]+(?=\n|$)", ""),
        (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UID"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)", "TIME"),
        (rf"{_WEEKDAY}, \d\d \w\w\w \d{{4}} \d\d:\d\d:\d\d [+-]\d{{4}}", "TIME"),
        (r"\b[EWI]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ ([\w.]+):\d+\]", r"LOG \1]"),
        (rf"-{_DRAWN}{{8,10}}-{_DRAWN}{{5}}\b", "-HASH-RAND"),
        (rf"\b(web|other)-{_DRAWN}{{8,10}}\b", r"\1-HASH"),
        (rf"(pod-template-hash(?:=|: |\":\s?\")){_DRAWN}{{8,10}}\b", r"\1HASH"),
        (rf"(?<=kube-api-access-){_DRAWN}{{5}}\b", "RAND"),
        (rf"(?<=made-){_DRAWN}{{5}}\b", "RAND"),
        (r"((?:resourceVersion|Resource Version)\"?: +)\"?\d+\"?", r'\1"VERSION"'),
        (r"(?:containerd|docker|mesh)://[0-9a-f]{10,}", "CONTAINER"),
        (r"(\"?[iI]mage\"?: +\"?)docker.io/", r"\1"),
        (r"(\"?imageID\"?: +\"?|Image ID: +)[^\s\",]+", r"\1IMAGE"),
        (r"127\.0\.0\.1:\d{4,5}\b(?!:)", "127.0.0.1:PORT"),
        (r"\b(?:10|172|192)\.\d{1,3}\.\d{1,3}\.\d{1,3}\b(?:/\d+)?", "ADDRESS"),
        (r"(?<=[:/ ])3[0-2]\d{3}(?=/TCP|\s|$)", "NODEPORT"),
        (r"(?<=nodePort: )3[0-2]\d{3}\b", "NODEPORT"),
        (r"(?<!:\s)(?<!:\s\s)(?<=[\s(])(?:<invalid>|(?:\d+[smhdy]){1,2}|\d+ms)(?= ago|\)|\s|$)", "AGE"),
        (r"/tmp/[\w./-]*", "FILE"),
        (r"\b[0-9a-f]{64}\b", "ID"),
        (r"(?m)^LOG reflector\.go\].*\n?", ""),
    )
)


def normalised(text: str, own: tuple[tuple[str, str], ...] = ()) -> str:
    """Give the text with everything of one run replaced; ``own`` are this cluster's words and what stands for them."""
    for word, replacement in own:
        text = text.replace(word, replacement)
    for pattern, replacement in WORDS:
        text = pattern.sub(replacement, text)
    return text
