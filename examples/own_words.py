"""Give a user names and places that are to be heard, without training, and take them away:
`python examples/own_words.py`."""

from ds2ray import Transcriber
from ds2ray.config import DecodeConfig, DecoderKind
from ds2ray.store import OwnWord, Store, erase_words, publish_words, user_key


def main() -> None:
    store, john = Store("./store"), user_key("john")
    record = publish_words(store, john, [OwnWord("new york"), OwnWord("anna", weight=2.0)])
    print(f"john: {record.num_words} own words, version {record.version}")

    # beam search follows them, alone or with a language model; greedy decoding does not, and its note says so
    for decode in (DecodeConfig(decoder=DecoderKind.beam), DecodeConfig()):
        (hello,) = Transcriber.open(store, decoder=decode).transcribe(["hello.wav"], user="john")
        print(f"{decode.decoder.value}: {hello.text} ({hello.note or 'nothing to note'})")

    print(f"{erase_words(store, john)} objects deleted")


if __name__ == "__main__":
    main()
