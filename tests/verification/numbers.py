"""Every number of the documents, and the verification, table or log entry that it comes from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.verification import documents
from tests.verification.expectations import Claim
from tests.verification.recorded import DEFINED, RECORDED
from tests.verification.registry import Verification


@dataclass(frozen=True)
class Number:
    """A number of a document, the words around it, and its source; "" where it has none."""

    place: str
    text: str
    words: str
    source: str


def every_number(known: Mapping[str, Verification]) -> Iterator[Number]:
    """Yield each number of the documents, outside of tables that a program writes."""
    sources: dict[str, list[tuple[range, str]]] = {place: [] for place in documents.VERIFIED}
    for claim, source in _claims(known):
        if claim.place in sources:
            spans = documents.spans(claim.place, claim.text)
            sources[claim.place] += [(span, source) for span in spans]
    for place, covered in sources.items():
        text = documents.prose(place)
        for position, number in documents.numbers(place):
            words = text[max(0, position - 40) : position + 30]
            named = [source for span, source in covered if position in span]
            yield Number(place, number, words, ", ".join(dict.fromkeys(named)))


def missing_claims(known: Mapping[str, Verification]) -> list[Claim]:
    """Return the claims whose text no longer stands in its document."""
    return [
        claim
        for claim, _ in _claims(known)
        if documents.flat(claim.text) not in documents.prose(claim.place)
    ]


def report(known: Mapping[str, Verification]) -> str:
    """Return a line for each number, and one for each table that a program writes."""
    lines = []
    for number in every_number(known):
        source = number.source or "NO SOURCE"
        lines.append(f"{number.place}  {number.text:>7}  {source}  (... {number.words} ...)")
    for place in documents.VERIFIED:
        for name in documents.tables(documents.read(place)):
            lines.append(f"{place}  the table '{name}': tests.verification.tables.{name}")
    lines += [f"{place}  all of it: {test}" for place, test in documents.WRITTEN.items()]
    return "\n".join(lines)


def _claims(known: Mapping[str, Verification]) -> Iterator[tuple[Claim, str]]:
    for name, verification in known.items():
        yield from ((claim, name) for claim in verification.claims)
    yield from ((entry.claim, "LOG.md") for entry in RECORDED)
    yield from ((entry.claim, entry.source) for entry in DEFINED)
