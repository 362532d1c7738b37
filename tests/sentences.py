"""Which sentences of the standards with MUST or SHOULD are neither in conformance/sentences/ nor left out with a reason.

Called as: sentences.py FOLDER [LIST], with a folder of the RFC texts as published (names begin with `rfc4791-` and so on,
Apple's documents are in `apple/`). With LIST the sentences found are written there: testdata/sentences.txt, against
which tests/coverage.rs checks both lists without the texts.
"""

import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent.parent / "conformance"
WORDS = re.compile(r"\b(MUST|SHOULD|SHALL|REQUIRED|RECOMMENDED)\b")
HEADING = re.compile(r"^(?:Appendix )?(\d+(?:\.\d+)*|[A-Z](?:\.\d+)*)\.?\s{1,4}\S")
ITEM = re.compile(r"^(?:o|\*|-|\d+\.)\s+")
# Documents whose text has another name.
DRAFTS = {
    "rfc7953": "draft-daboo-calendar-availability.txt",
    "daboo-extensions": "draft-daboo-caldav-extensions.txt",
}
# The first words of a sentence, which are its name in a section.
NAMED_BY = 7


def lines_of(text):
    """The lines without page breaks, footers and headers."""
    lines, kept, at = [], [], 0
    for line in text.replace("\r", "").replace("\f", "\n").split("\n"):
        if re.search(r"\[Page \d+\]\s*$", line) or re.match(r"^RFC \d+ .*\d{4}\s*$", line):
            while lines and lines[-1] is not None and not lines[-1].strip():
                lines.pop()
            line = None
        lines.append(line)
    while at < len(lines):
        if lines[at] is not None:
            kept.append(lines[at])
            at += 1
            continue
        while at < len(lines) and not (lines[at] or "").strip():
            at += 1
        # A paragraph goes on over a page break unless it has ended.
        if kept and re.search(r"[.:]\s*$", kept[-1]):
            kept.append("")
    return kept


def paragraphs(text):
    """Each paragraph with its section."""
    section, paragraph = "", []
    for line in lines_of(text) + [""]:
        heading = HEADING.match(line) if ". ." not in line and "...." not in line else None
        item = re.match(r"^\s*(?:o|\*|-|\d+\.)\s{2}", line)
        if (heading or item or not line.strip()) and paragraph:
            yield section, " ".join(paragraph)
            paragraph = []
        if heading:
            section = heading.group(1)
        elif line.strip():
            paragraph.append(line.strip())


def sentences(text):
    for section, paragraph in paragraphs(text):
        # Tables and grammar have no sentences.
        if paragraph.startswith("+-") or "<!ATTLIST" in paragraph or "key words" in paragraph:
            continue
        for sentence in re.split(r"(?<=[.;:!?])\s+(?=[A-Z\"'(0-9])", paragraph):
            if WORDS.search(sentence) and "| |" not in sentence:
                yield section, ITEM.sub("", sentence)


def normal(text):
    return re.sub(r"[^a-z0-9]+", " ", text.lower()).strip()


def listed(path):
    """The sentences of a list by section, as they are written there."""
    found = {}
    for line in open(path, encoding="utf-8"):
        match = re.match(r'§(\S*) "(.*)"', line)
        if match:
            found.setdefault(match.group(1), []).append(match.group(2))
    return found


def name_in(keys, sentence):
    """The key that says most of the sentence, or else the one that begins with all of it."""
    within = [key for key in keys if normal(key) in sentence]
    longer = [key for key in keys if normal(key).startswith(sentence)]
    return max(within, key=len, default=None) or max(longer, key=len, default=None)


def main():
    texts = pathlib.Path(sys.argv[1])
    missing, lines = 0, []
    for path in sorted((HERE / "sentences").glob("*.txt")):
        document = path.read_text(encoding="utf-8").split("\n", 1)[0].removeprefix("document ")
        apple = texts / "apple" / ("caldav-" + path.stem.removeprefix("apple-") + ".txt")
        draft = texts / DRAFTS.get(path.stem, "none")
        sources = list(texts.glob(path.stem + "-*.txt")) + [p for p in (apple, draft) if p.exists()]
        if not sources:
            print(f"{document}: there is no text")
            continue
        left_out = HERE / "left-out" / path.name
        lists = [listed(path), listed(left_out) if left_out.exists() else {}]
        for section, sentence in sentences(sources[0].read_text(encoding="utf-8", errors="replace")):
            keys = [key for known in lists for key in known.get(section, [])]
            name = name_in(keys, normal(sentence))
            if name is None:
                name = " ".join(sentence.replace('"', "'").split()[:NAMED_BY])
                print(f'{document}: §{section} "{name}": {sentence}')
                missing += 1
            lines.append(f'{document} §{section} "{name}"\n')
    if len(sys.argv) > 2:
        pathlib.Path(sys.argv[2]).write_text("".join(dict.fromkeys(lines)), encoding="utf-8")
    print(f"{len(lines)} sentences, {missing} in neither list")
    sys.exit(missing > 0)


main()
