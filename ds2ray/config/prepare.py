"""Packing of corpora."""

from dataclasses import dataclass

from ds2ray.config.fields import Choice, require, setting


class CorpusFormat(Choice):
    auto = "auto", "recognised by the names of the files; refused where they fit several formats or none"
    manifest = "manifest", "a table of utterances or of users: .csv, .jsonl or .parquet"
    kospeech = "kospeech", "transcripts.txt with `path<TAB>text<TAB>ids`"
    librispeech = "librispeech", "<speaker>-<chapter>.trans.txt beside flac files"
    common_voice = "common_voice", "a .tsv with client_id, path and sentence, beside clips/"
    folder = "folder", "a .txt beside each audio file, or in a folder txt/; the first folder names the speaker"


class PackBy(Choice):
    user = "user", "one file per user, for adapters"
    shard = "shard", "files of about the same size, for training a base"


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """Reading of a corpus, and its packing into Parquet files that hold the audio's bytes."""

    format: CorpusFormat = setting(CorpusFormat.auto, "format of the corpus")
    by: PackBy = setting(PackBy.user, "one file per user, or shards")
    user_id: str = setting("", "user of the speech, where the corpus names no speaker")
    audio_root: str = setting("", "KoSpeech: the folder that audio paths start from; empty: that of transcripts.txt")
    vocab_path: str = setting(
        "", "KoSpeech: `id,char,freq`; empty: a *vocab*.csv beside the transcripts, if there is one"
    )
    decode_audio: bool = setting(False, "decode each audio to its end, not only its header: finds broken flac and mp3")
    shard_mb: float = setting(128.0, "megabytes of audio in a shard, about")
    threads: int = setting(16, "audio files that are read at once, and packs that are made at once")
    memory_mb: float = setting(
        2048.0, "memory for the packs that are made at once, about; a pack that needs more is made alone"
    )

    def __post_init__(self) -> None:
        require(self.shard_mb > 0, "prepare.shard_mb", self.shard_mb, "above 0")
        require(self.threads >= 1, "prepare.threads", self.threads, "at least 1")
        require(self.memory_mb > 0, "prepare.memory_mb", self.memory_mb, "above 0")
