"""Times Presidio on the detector's data sets: its pattern recognizers for six kinds of values (mail
addresses, card numbers, US social security numbers, IBANs, telephone numbers, addresses of IP), called
without its language model, on the first bytes of each set.

    presidio.py FILE...        each file is a data set; prints one JSON object

Run by `run --presidio`, which installs it. Nothing is fetched: the list of top-level domains is the one
that the package brings.
"""

import json
import sys
import time

import tldextract

tldextract.extract = tldextract.TLDExtract(suffix_list_urls=())

from presidio_analyzer.predefined_recognizers import (  # noqa: E402
    CreditCardRecognizer,
    EmailRecognizer,
    IbanRecognizer,
    IpRecognizer,
    PhoneRecognizer,
    UsSsnRecognizer,
)

# It takes seconds for what the detector does in a fraction of a millisecond.
TEXT_BYTES = 32 * 1024
PIECE_BYTES = 4 * 1024

RECOGNIZERS = [
    EmailRecognizer(),
    CreditCardRecognizer(),
    UsSsnRecognizer(),
    IbanRecognizer(),
    PhoneRecognizer(),
    IpRecognizer(),
]


def analyze(pieces):
    found = 0
    for piece in pieces:
        for recognizer in RECOGNIZERS:
            entities = recognizer.supported_entities
            found += len(recognizer.analyze(piece, entities, None) or [])
    return found


def measure(path):
    with open(path, "rb") as file:
        text = file.read(TEXT_BYTES).decode("latin-1")
    pieces = [text[at : at + PIECE_BYTES] for at in range(0, len(text), PIECE_BYTES)]
    analyze(pieces[:1])
    best = None
    for _ in range(3):
        before = time.thread_time()
        found = analyze(pieces)
        took = time.thread_time() - before
        best = took if best is None else min(best, took)
    return {"mb_s": len(text) / best / 1e6, "found": found, "bytes": len(text)}


if __name__ == "__main__":
    print(json.dumps({path.rsplit("/", 1)[-1]: measure(path) for path in sys.argv[1:]}))
