"""Recognise a file as its speaker's adapter hears it, and many people's utterances in common batches:
`python examples/recognise.py`."""

from ds2ray import Transcriber
from ds2ray.tables.manifest import read_manifest


def main() -> None:
    transcriber = Transcriber.open("./store")  # the newest base
    (hello,) = transcriber.transcribe(["hello.wav"], user="john")
    print(hello.text, f"(adapter {hello.adapter or 'none'})")
    for word in hello.words:
        print(f"  {word.start_s:6.2f} s to {word.end_s:6.2f} s  {word.text}")

    utterances = read_manifest("test.csv").utterances
    hypotheses = transcriber.transcribe_utterances(utterances)  # each with the adapter of its own user
    for utterance, hypothesis in zip(utterances, hypotheses, strict=True):
        print(f"{utterance.user_id}: {hypothesis.error or hypothesis.text}")


if __name__ == "__main__":
    main()
