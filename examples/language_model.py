"""Make a language model of texts beside the newest base, and recognise with it: `python examples/language_model.py`."""

from ds2ray import Transcriber
from ds2ray.commands import language_model
from ds2ray.config import DecodeConfig, DecoderKind, LanguageModelJob, StorageConfig
from ds2ray.tables.manifest import read_manifest


def main() -> None:
    language_model.run(LanguageModelJob(texts=["train.csv"], storage=StorageConfig(root="./store")))

    utterances = read_manifest("test.csv").utterances
    transcripts = [utterance.transcript for utterance in utterances]
    with_model = DecodeConfig(decoder=DecoderKind.beam, language_model="base", n_best=3)
    for name, decode in {"greedy": DecodeConfig(), "lm": with_model}.items():
        transcriber = Transcriber.open("./store", decoder=decode)
        hypotheses = transcriber.transcribe_utterances(utterances)
        print(f"{name}: WER {transcriber.score(transcripts, hypotheses).words.rate():.1%}")
    for alternative in hypotheses[0].alternatives:  # the best texts of the first utterance
        print(f"  {alternative.share:6.1%}  {alternative.text}")


if __name__ == "__main__":
    main()
