"""Published formats: what is read of them, and what of them cannot be used."""

from pathlib import Path

import pytest
from corpora import COMMON_VOICE_ROWS, write_common_voice, write_librispeech, write_tone

from ds2ray import storage
from ds2ray.config import AudioConfig, CorpusFormat, DataConfig, PrepareConfig
from ds2ray.corpora.common_voice import read_common_voice
from ds2ray.corpora.corpus import audio_objects, read_corpus
from ds2ray.corpora.detection import format_of_folder
from ds2ray.corpora.folder import read_folder
from ds2ray.corpora.librispeech import read_librispeech
from ds2ray.errors import InputError
from ds2ray.tables.manifest import Manifest, write_manifest
from ds2ray.tables.validation import validate_many


def rows(manifests: list[Manifest]) -> list[tuple[str, str, str, int]]:
    return [(u.utterance_id, u.user_id, u.transcript, u.line) for m in manifests for u in m.utterances]


def reasons(manifests: list[Manifest]) -> list[tuple[str, int, str]]:
    return [(p.column, p.line, p.reason) for m in manifests for p in m.problems]


def durations_s(manifests: list[Manifest]) -> list[float | None]:
    """As the headers of the audio say; all of it is readable."""
    checked = validate_many(manifests, data=DataConfig(), audio=AudioConfig(), vocabulary=None)
    assert [problem for manifest in checked for problem in manifest.problems] == []
    return [None if u.duration_s is None else round(u.duration_s, 3) for m in checked for u in m.utterances]


class TestLibriSpeech:
    def test_speakers_transcripts_and_lines(self, tmp_path: Path) -> None:
        write_librispeech(tmp_path)
        manifests = read_librispeech(str(tmp_path))
        assert rows(manifests) == [
            ("19-198-0000", "19", "NORTHANGER ABBEY", 1),
            ("19-198-0001", "19", "THIS LITTLE WORK", 2),
            ("26-495-0000", "26", "A DAY", 1),
        ]
        assert [Path(m.uri).name for m in manifests] == ["19-198.trans.txt", "26-495.trans.txt"]
        assert durations_s(manifests) == [0.5, 0.6, 0.5]

    def test_audio_without_a_line_and_lines_without_text(self, tmp_path: Path) -> None:
        write_librispeech(tmp_path)
        chapter = tmp_path / "train-clean-5/26/495"
        extra = write_tone(chapter / "26-495-0001.flac")
        (chapter / "26-495.trans.txt").write_text("26-495-0000\n26-495-0002 NO AUDIO\n26-495-0000 AGAIN\n")
        manifests = read_librispeech(str(tmp_path))
        assert reasons(manifests) == [
            ("utterance_id", 3, "already the id of line 1"),
            ("audio", 1, "no transcript names it"),
        ]
        assert manifests[-1].problems[0].value == extra
        checked = validate_many(manifests, data=DataConfig(), audio=AudioConfig(), vocabulary=None)
        assert [(p.line, p.reason) for p in checked[1].problems] == [
            (1, "is empty"),
            (2, "there is no such file"),
            (3, "already the id of line 1"),
        ]


class TestCommonVoice:
    def test_validated_is_read_of_a_release(self, tmp_path: Path) -> None:
        write_common_voice(tmp_path, {"validated.tsv": COMMON_VOICE_ROWS, "train.tsv": COMMON_VOICE_ROWS[:1]})
        manifests = read_common_voice(str(tmp_path))
        assert rows(manifests) == [
            ("common_voice_en_0", "aa", 'She said "hello", twice.', 2),
            ("common_voice_en_1", "aa", "It's late.", 3),
            ("common_voice_en_2", "bb", "Good night.", 4),
        ]
        measured = durations_s(manifests)
        assert len(measured) == 3
        # mp3 comes in frames of 36 ms at 32 kHz, with one or two of silence before
        assert all(duration_s is not None and 0.55 < duration_s < 0.75 for duration_s in measured)
        assert rows(read_common_voice(str(tmp_path / "train.tsv"))) == rows(manifests)[:1]

    def test_durations_come_from_the_table_of_clips(self, tmp_path: Path) -> None:
        bad_rows = ["aa\tcommon_voice_en_9\tNo suffix.\t1", "aa\t\tNo clip.\t1", "aa\ttwo\tcells"]
        write_common_voice(tmp_path, {"validated.tsv": [COMMON_VOICE_ROWS[0], *bad_rows]})
        (tmp_path / "clip_durations.tsv").write_text("clip\tduration[ms]\ncommon_voice_en_0.mp3\t1234\nx.mp3\t?\n")
        (manifest,) = read_common_voice(str(tmp_path))
        assert [u.duration_s for u in manifest.utterances] == [1.234, None]
        assert str(manifest.utterances[1].audio) == str(tmp_path / "clips/common_voice_en_9.mp3")
        assert reasons([manifest]) == [
            ("audio", 4, "no audio is given"),
            ("", 5, "3 cells, but the header has 4"),
        ]

    def test_which_table_is_meant_has_to_be_clear(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"no validated.tsv; there is no .tsv"):
            read_common_voice(str(tmp_path))
        write_common_voice(tmp_path, {"train.tsv": [], "test.tsv": []})
        with pytest.raises(InputError, match=r"there are test.tsv, train.tsv: name the table to read"):
            read_common_voice(str(tmp_path))
        (tmp_path / "test.tsv").write_text("path\tsentence\n")
        with pytest.raises(InputError, match="no column client_id; it has path, sentence"):
            read_common_voice(str(tmp_path / "test.tsv"))


class TestFolder:
    def test_text_beside_the_audio_and_the_first_folder_names_the_speaker(self, tmp_path: Path) -> None:
        for name, text in {"john/one": "turn it on", "mary/day 2/two": "good\nnight ", "three": "off"}.items():
            write_tone(tmp_path / f"{name}.flac")
            (tmp_path / f"{name}.txt").write_text(text)
        assert rows(read_folder(str(tmp_path))) == [
            ("john/one", "john", "turn it on", 1),
            ("mary/day 2/two", "mary", "good night", 2),
            ("three", "", "off", 3),
        ]

    @pytest.mark.parametrize(
        ("audio", "text", "user"),
        [
            ("wav/an251.wav", "txt/an251.txt", ""),
            ("wav/fash/an251.wav", "txt/fash/an251.txt", ""),
            ("fash/wav/an251.wav", "fash/txt/an251.txt", "fash"),
            ("an251.WAV", "an251.txt", ""),
        ],
    )
    def test_text_in_a_folder_of_its_own(self, tmp_path: Path, audio: str, text: str, user: str) -> None:
        write_tone(tmp_path / audio)
        (tmp_path / text).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / text).write_text("YES")
        assert rows(read_folder(str(tmp_path))) == [(audio.rpartition(".")[0], user, "YES", 1)]

    def test_what_does_not_go_together_becomes_a_problem(self, tmp_path: Path) -> None:
        for name in ("a.wav", "b.wav", "b.flac", "c.wav"):
            write_tone(tmp_path / name)
        for name in ("b.txt", "c.txt"):
            (tmp_path / name).write_text("yes" if name == "b.txt" else " \n")
        manifests = read_folder(str(tmp_path))
        assert reasons(manifests) == [
            ("audio", 1, "has no text file"),
            ("utterance_id", 3, "already the id of line 2"),
        ]
        (checked,) = validate_many(manifests, data=DataConfig(), audio=AudioConfig(), vocabulary=None)
        assert [u.audio for u in checked.utterances] == [str(tmp_path / "b.flac")]
        assert [(p.line, p.reason) for p in checked.problems][-1] == (4, "is empty")


class TestDetection:
    @pytest.mark.parametrize(
        ("names", "expected"),
        [
            (["a/1/1-2.trans.txt", "a/1/1-2-0.flac"], CorpusFormat.librispeech),
            (["transcripts.txt", "vocab.csv", "pcm/1.pcm"], CorpusFormat.kospeech),
            (["train.tsv", "test.tsv", "clips/1.mp3"], CorpusFormat.common_voice),
            (["utterances.jsonl", "1.flac"], CorpusFormat.manifest),
            (["wav/1.wav", "txt/1.txt"], CorpusFormat.folder),
            (["john/1.wav", "john/1.txt", "README.txt"], CorpusFormat.folder),
        ],
    )
    def test_the_names_of_files_tell_the_format(self, names: list[str], expected: CorpusFormat) -> None:
        for root in ("/data/c", "s3://bucket/c"):
            assert format_of_folder(root, [f"{root}/{name}" for name in names]) is expected

    @pytest.mark.parametrize(
        ("names", "message"),
        [
            (["transcripts.txt", "x/1-2.trans.txt"], r"several formats fit: librispeech \(x/1-2.trans.txt\); kospeech"),
            (["1.wav", "notes.md"], r"none of the known formats fits its 2 files \(1 of audio; 1.wav, notes.md\)"),
        ],
    )
    def test_says_why_it_cannot_tell(self, names: list[str], message: str) -> None:
        with pytest.raises(InputError, match=message):
            format_of_folder("/data/c", [f"/data/c/{name}" for name in names])

    def test_paths_that_are_no_corpus(self, tmp_path: Path) -> None:
        for name, message in {"none": "there is nothing", "x.trans.txt": "name its folder"}.items():
            with pytest.raises(InputError, match=message):
                read_corpus(str(tmp_path / name), PrepareConfig(), DataConfig())
        with pytest.raises(InputError, match="reads a folder"):
            read_corpus(str(tmp_path / "x.csv"), PrepareConfig(format=CorpusFormat.folder), DataConfig())
        with pytest.raises(InputError, match="one table .* and there is none"):
            read_corpus(str(tmp_path), PrepareConfig(format=CorpusFormat.manifest), DataConfig())


class TestReadCorpus:
    def test_text_files_without_audio_are_named(self, tmp_path: Path) -> None:
        write_tone(tmp_path / "john/1.wav")
        for name in ("README.txt", "john/1.txt", "john/2.txt"):
            (tmp_path / name).write_text("yes")
        corpus = read_corpus(str(tmp_path), PrepareConfig(), DataConfig())
        assert rows(corpus.manifests) == [("john/1", "john", "yes", 1)]
        passed_over = f"{tmp_path}/README.txt, {tmp_path}/john/2.txt"
        assert corpus.notes == [f"text files without audio, passed over: 2: {passed_over}"]

    def test_a_table_of_users_is_read_user_by_user(self, tmp_path: Path) -> None:
        write_tone(tmp_path / "1.wav")
        (tmp_path / "users.csv").write_text("user_id,manifest\njohn,m.csv\nmary,none.csv\n")
        (tmp_path / "m.csv").write_text("audio,transcript\n1.wav,yes\n")
        corpus = read_corpus(str(tmp_path / "users.csv"), PrepareConfig(), DataConfig())
        assert corpus.format is CorpusFormat.manifest
        assert rows(corpus.manifests) == [("1", "john", "yes", 2)]
        assert reasons(corpus.manifests) == [("manifest", 3, "there is no such file")]

    def test_kospeech_with_its_vocabulary_and_audio_elsewhere(self, tmp_path: Path) -> None:
        write_tone(tmp_path / "speech/1.pcm")
        (tmp_path / "tables").mkdir()
        (tmp_path / "tables/transcripts.txt").write_text("1.pcm\t가\t1\n1.pcm\t가\t2\n")
        (tmp_path / "tables/vocab.csv").write_text("id,char,freq\n1,가,1\n2,<blank>,0\n")
        prepare = PrepareConfig(audio_root=str(tmp_path / "speech"), user_id="kim")
        corpus = read_corpus(str(tmp_path / "tables"), prepare, DataConfig())
        assert corpus.format is CorpusFormat.kospeech
        assert rows(corpus.manifests) == [("1", "kim", "가", 1)]
        assert [(column, line) for column, line, _ in reasons(corpus.manifests)] == [("ids", 2)]
        assert durations_s([Manifest("", corpus.manifests[0].utterances)]) == [0.5]

    def test_listing_the_folder_tells_of_its_audio_and_the_rest_is_looked_for(
        self, s3_root: str, tmp_path: Path
    ) -> None:
        write_librispeech(tmp_path)
        for path in tmp_path.rglob("*.*"):
            storage.write_bytes(storage.join(s3_root, str(path.relative_to(tmp_path))), path.read_bytes())
        corpus = read_corpus(s3_root, PrepareConfig(), DataConfig())
        assert corpus.format is CorpusFormat.librispeech
        assert [u for u, *_ in rows(corpus.manifests)] == ["19-198-0000", "19-198-0001", "26-495-0000"]
        audio = [str(u.audio) for m in corpus.manifests for u in m.utterances]
        assert set(audio) < set(corpus.objects)
        assert audio_objects(corpus) == storage.stat_many(audio)

        table = storage.join(s3_root, "elsewhere/table.csv")
        write_manifest(table, corpus.manifests[0].utterances)
        other = read_corpus(table, PrepareConfig(), DataConfig())
        assert other.objects == {}
        assert audio_objects(other) == storage.stat_many(audio[:2])
