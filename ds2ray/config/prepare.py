"""Packing of corpora."""

from dataclasses import dataclass

from ds2ray.config.fields import Choice, require, setting


class CorpusFormat(Choice):
    auto = "auto", "recognised by the names of the files; refused where they fit several formats or none"
    manifest = "manifest", "a table of utterances or of users: .csv, .jsonl, .parquet, cuts of lhotse"
    kospeech = "kospeech", "transcripts.txt with `path<TAB>text<TAB>ids`"
    librispeech = "librispeech", "<speaker>-<chapter>.trans.txt beside flac files"
    common_voice = "common_voice", "a .tsv with client_id, path and sentence, beside clips/"
    kaldi = "kaldi", "wav.scp, text and utt2spk; commands in wav.scp are never executed"
    ksponspeech = "ksponspeech", "a .trn with `path :: text`; of what is written twice the pronounced form is read"
    sphinx = "sphinx", "CMU Sphinx, as AN4: .fileids and .transcription"
    voxforge = "voxforge", "<name>-<date>-<code>/etc/PROMPTS beside wav/ or flac/"
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
    base: str = setting(
        "",
        "base that aligns the transcripts of long recordings, with data.segment_long=true: its id in storage.root, or "
        "the URI of a base folder or model.pt",
    )
    audio_root: str = setting(
        "", "KoSpeech, KsponSpeech, Kaldi: the folder that audio paths start from; empty: that of the table"
    )
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
