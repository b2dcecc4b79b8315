"""The times of words as NIST's CTM has them: a line per word, as sclite and Kaldi read it.

`<recording> <channel> <start> <duration> <word> <confidence>`, in seconds, from the manual of sclite's infmts.
"""

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ds2ray.recognition.hypothesis import Hypothesis


_CHANNEL = "1"
_NO_FIELD = re.compile(r"[\s%]|^;;")


def ctm(hypotheses: Sequence["Hypothesis"]) -> str:
    """The words of all utterances, in their order; an utterance without words has no line.

    White space in names and words, which would end a field, is percent-encoded as in URIs, and so is a beginning that
    would make the line a comment. Without a confidence that field is left out.
    """
    return "".join(line + "\n" for hypothesis in hypotheses for line in _lines(hypothesis))


def _lines(hypothesis: "Hypothesis") -> Iterator[str]:
    name = _field(hypothesis.utterance_id)
    for word in hypothesis.words:
        confidence = "" if word.confidence is None else f" {word.confidence:.4f}"
        times = f"{word.start_s:.3f} {word.end_s - word.start_s:.3f}"
        yield f"{name} {_CHANNEL} {times} {_field(word.text)}{confidence}"


def _field(text: str) -> str:
    return _NO_FIELD.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), text)
