"""Corpora in the layouts of Kaldi, VoxForge, KsponSpeech and CMU Sphinx."""

from pathlib import Path

import pytest
from table_cases import tones

from ds2ray.config import AudioConfig, BadRows, CorpusFormat, DataConfig, PrepareConfig
from ds2ray.corpora.corpus import Corpus, audio_objects, read_corpus
from ds2ray.corpora.detection import format_of_folder
from ds2ray.corpora.ksponspeech import spoken
from ds2ray.errors import ConfigError, InputError
from ds2ray.sound.audio import probe
from ds2ray.tables.manifest import Manifest
from ds2ray.tables.notes import reading_notes
from ds2ray.tables.validation import validate_many

DATA = DataConfig(bad_rows=BadRows.drop)


def read(source: Path, **prepare: str) -> tuple[Corpus, list[Manifest]]:
    corpus = read_corpus(str(source), PrepareConfig(**prepare), DATA)  # type: ignore[arg-type]
    objects = audio_objects(corpus)
    return corpus, validate_many(corpus.manifests, data=DATA, audio=AudioConfig(), vocabulary=None, objects=objects)


def rows(manifests: list[Manifest]) -> list[tuple[str, str, str, int]]:
    return [(u.utterance_id, u.user_id, u.transcript, u.line) for m in manifests for u in m.utterances]


def reasons(manifests: list[Manifest]) -> list[tuple[str, int, str]]:
    return [(Path(p.manifest_uri).name, p.line, p.reason) for m in manifests for p in m.problems]


class TestKaldi:
    def write(self, folder: Path, **files: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name.replace("wav_scp", "wav.scp")).write_text(content)

    def test_a_data_folder(self, tmp_path: Path) -> None:
        tones(tmp_path, "wav/a.wav", "b c.flac")
        scp = f"ann-1 wav/a.wav\nbob-1\t{tmp_path}/b c.flac\n\n"
        self.write(tmp_path, wav_scp=scp, text="bob-1  good   bye\nann-1 hello\n", utt2spk="ann-1 ann\nbob-1 bob\n")
        corpus, checked = read(tmp_path)
        assert corpus.format is CorpusFormat.kaldi
        assert rows(checked) == [("ann-1", "ann", "hello", 1), ("bob-1", "bob", "good bye", 2)]
        assert reasons(checked) == []

    def test_commands_are_never_executed(self, tmp_path: Path) -> None:
        tones(tmp_path, "a.wav")
        touched = tmp_path / "executed"
        scp = f"a a.wav\nb touch {touched} |\nc sph2pipe {tmp_path}/a.wav|\nd | touch {touched}\ne raw.ark:12\nf -\ng\n"
        self.write(tmp_path, wav_scp=scp, text="".join(f"{key} x\n" for key in "abcdefg"))
        _, checked = read(tmp_path)
        assert rows(checked) == [("a", "", "x", 1)]
        command = "is a command, which is never executed"
        assert reasons(checked) == [
            ("wav.scp", 2, command),
            ("wav.scp", 3, command),
            ("wav.scp", 4, command),
            ("wav.scp", 5, "is a place in an archive"),
            ("wav.scp", 6, "is standard input, which has no place in a table"),
            ("wav.scp", 7, "no audio is given"),
        ]
        assert not touched.exists()

    def test_files_that_do_not_go_together(self, tmp_path: Path) -> None:
        tones(tmp_path, "a.wav", "b.wav")
        self.write(tmp_path, wav_scp="a a.wav\nb b.wav\n", text="a x\nz y\n")
        _, checked = read(tmp_path)
        assert rows(checked) == [("a", "", "x", 1)]
        assert reasons(checked) == [("wav.scp", 2, "text has no line for it"), ("text", 2, "no audio is named for it")]

    def test_segments_are_parts_of_recordings(self, tmp_path: Path) -> None:
        tones(tmp_path, "a.wav")
        lines = ["a 0.0 0.2", "a 0.1 -1", "a 0 -1", "b 0 1", "a 0.2 0.1", "a 0.1", "a 0.1 0.2 A", "a soon 0.2", "a 7 9"]
        lines += ["a 0 0.7", "a 0 9"]
        segments = "".join(f"u{number} {line}\n" for number, line in enumerate(lines))
        text = "".join(f"u{number} x\n" for number in range(len(lines)))
        tone_s = probe(str(tmp_path / "a.wav")).duration_s
        self.write(tmp_path, wav_scp="a a.wav\n", text=text, segments=segments)
        _, (checked,) = read(tmp_path)
        assert [(u.utterance_id, u.audio, u.duration_s) for u in checked.utterances] == [
            ("u0", f"{tmp_path}/a.wav#t=0,0.2", 0.2),
            ("u1", f"{tmp_path}/a.wav#t=0.1,", pytest.approx(tone_s - 0.1)),
            ("u2", f"{tmp_path}/a.wav", tone_s),
            ("u9", f"{tmp_path}/a.wav#t=0,0.7", tone_s),  # it may end a little later than its recording
        ]
        assert [(problem.line, problem.reason.split(" of the")[0]) for problem in checked.problems] == [
            (4, "wav.scp names no such recording"),
            (5, "does not begin before it ends"),
            (6, "1 times, and a start and an end are wanted"),
            (7, "3 times, and a start and an end are wanted"),
            (8, "start or end is not a number"),
            (9, "begins at 7 s, after the end"),
            (11, "ends at 9 s, after the end"),
        ]

    def test_paths_may_start_elsewhere(self, tmp_path: Path) -> None:
        tones(tmp_path, "recipe/downloads/a.wav")
        self.write(tmp_path / "recipe/data/train", wav_scp="a downloads/a.wav\n", text="a x\n")
        _, checked = read(tmp_path / "recipe/data/train", audio_root=str(tmp_path / "recipe"))
        assert (rows(checked), reasons(checked)) == ([("a", "", "x", 1)], [])

    def test_both_files_are_needed(self, tmp_path: Path) -> None:
        self.write(tmp_path, text="a x\n")
        with pytest.raises(InputError, match=r"there is no wav.scp"):
            read_corpus(str(tmp_path), PrepareConfig(format=CorpusFormat.kaldi), DATA)


class TestVoxForge:
    def test_contributions(self, tmp_path: Path) -> None:
        ann, nobody = "ann-20080318-kdl", "anonymous-20090101-abc"
        tones(tmp_path, f"{ann}/wav/a1.wav", f"{ann}/wav/a2.wav", f"{nobody}/flac/b1.flac")
        for folder, name, content in (
            (ann, "PROMPTS", f"{ann}/mfc/a1 TURN IT ON\n{ann}/mfc/a3 LOST\n"),
            (ann, "prompts-original", "a1 Turn it on.\n"),
            (nobody, "prompts-original", "b1 Off.\r\n"),
        ):
            (tmp_path / folder / "etc").mkdir(exist_ok=True)
            (tmp_path / folder / "etc" / name).write_text(content)
        corpus, checked = read(tmp_path)
        assert corpus.format is CorpusFormat.voxforge
        assert rows(checked) == [(f"{ann}/a1", "ann", "TURN IT ON", 1), (f"{nobody}/b1", nobody, "Off.", 1)]
        assert sorted(reasons(checked)) == [
            ("PROMPTS", 1, "no prompt names it"),
            ("PROMPTS", 2, "there is no audio of this name"),
        ]

    def test_prompts_that_cannot_be_read_stop_nobody_else(self, tmp_path: Path) -> None:
        for speaker, content in (("ann", b"a HELLO\n"), ("bob", b"a \xff\x81\n")):
            tones(tmp_path, f"{speaker}-20080318-x/wav/a.wav")
            (tmp_path / f"{speaker}-20080318-x/etc").mkdir()
            (tmp_path / f"{speaker}-20080318-x/etc/PROMPTS").write_bytes(content)
        _, checked = read(tmp_path)
        assert [user for _, user, _, _ in rows(checked)] == ["ann"]
        assert [problem.user_id for m in checked for problem in m.problems] == ["bob"]


class TestKsponSpeech:
    @pytest.mark.parametrize(
        ("text", "heard"),
        [
            ("아/ 몬 소리야, 그건 또. b/", "아 몬 소리야, 그건 또."),
            ("(70%)/(칠십 퍼센트) 확률 n/ 뭔 (1+1)/(원 플러스 원)", "칠십 퍼센트 확률 뭔 원 플러스 원"),
            ("o/ 그+ 그건* l/ u/ 됐어", "그 그건 됐어"),
            ("TV/ 켜", "TV 켜"),
            ("(웃음) 그냥", "(웃음) 그냥"),
        ],
    )
    def test_what_is_heard(self, text: str, heard: str) -> None:
        assert spoken(text) == heard

    @pytest.mark.parametrize("encoding", ["utf-8", "cp949"])
    def test_tables_and_audio_unpacked_in_another_way(self, tmp_path: Path, encoding: str) -> None:
        tones(tmp_path, "audio/part1/KsponSpeech_000001.pcm", "scripts/KsponSpeech_01/KsponSpeech_000002.pcm")
        lines = [
            "KsponSpeech_01/KsponSpeech_0001/KsponSpeech_000001.pcm :: (1)/(일) 번 b/",
            "KsponSpeech_01/KsponSpeech_000002.pcm :: 안녕",
            "KsponSpeech_01/KsponSpeech_000003.pcm :: 없어",
            "안녕",
        ]
        (tmp_path / "scripts/train.trn").write_bytes("\n".join(lines).encode(encoding))
        corpus, checked = read(tmp_path)
        assert corpus.format is CorpusFormat.ksponspeech
        assert rows(checked) == [("KsponSpeech_000001", "", "일 번", 1), ("KsponSpeech_000002", "", "안녕", 2)]
        assert reasons(checked) == [("train.trn", 3, "there is no such file"), ("train.trn", 4, "no path and ::")]
        assert "transcripts of which the pronounced form without marks is read: 1" in reading_notes(corpus.manifests)

    def test_one_table_by_its_name(self, tmp_path: Path) -> None:
        tones(tmp_path, "eval/a.pcm")
        (tmp_path / "eval_clean.trn").write_text("eval/a.pcm :: 안녕\n")
        corpus, checked = read(tmp_path / "eval_clean.trn", user_id="kim")
        assert corpus.format is CorpusFormat.ksponspeech
        assert (rows(checked), reasons(checked)) == ([("a", "kim", "안녕", 1)], [])


class TestSphinx:
    def write(self, folder: Path) -> None:
        (folder / "etc").mkdir(parents=True)
        (folder / "etc/an4_train.fileids").write_text("an4_clstk/fash/an251-fash-b\nan4_clstk/mary/cen1-mary-b\n")
        lines = ["<s> YES <sil> ++NOISE++ PLEASE </s> (an251-fash-b)", "STOP (cen1-mary-b)", "LOST (x)", "no id"]
        (folder / "etc/an4_train.transcription").write_text("\n".join(lines) + "\n")

    def test_an4(self, tmp_path: Path) -> None:
        self.write(tmp_path)
        tones(tmp_path, "wav/an4_clstk/fash/an251-fash-b.wav", "wav/an4_clstk/mary/cen1-mary-b.flac")
        corpus, checked = read(tmp_path)
        assert corpus.format is CorpusFormat.sphinx
        assert rows(checked) == [
            ("an4_clstk/fash/an251-fash-b", "fash", "YES PLEASE", 1),
            ("an4_clstk/mary/cen1-mary-b", "mary", "STOP", 2),
        ]
        assert reasons(checked) == [
            ("an4_train.transcription", 3, "the .fileids has no such id"),
            ("an4_train.transcription", 4, "no id"),
        ]

    @pytest.mark.parametrize("suffix", [".sph", ".raw", ".SPH"])
    def test_sphere_and_raw_files_are_named(self, tmp_path: Path, suffix: str) -> None:
        self.write(tmp_path)
        named = tmp_path / f"wav/an4_clstk/fash/an251-fash-b{suffix}"
        named.parent.mkdir(parents=True)
        named.write_bytes(b"NIST_1A\n   1024\n")
        (manifest,) = read_corpus(str(tmp_path), PrepareConfig(), DATA).manifests
        assert [u.audio for u in manifest.utterances] == [str(named)]


def test_a_table_beside_the_raw_corpus_is_meant(tmp_path: Path) -> None:
    """People make `transcripts.txt` and manifests from these corpora, and leave the originals where they are."""
    (tmp_path / "scripts").mkdir()
    for name in ("train.trn", "scripts/x.fileids", "wav.scp", "text"):
        (tmp_path / name).write_text("a.wav :: x\n")
    assert format_of_folder(str(tmp_path), [f"{tmp_path}/train.trn", f"{tmp_path}/transcripts.txt"]) is (
        CorpusFormat.kospeech
    )
    assert format_of_folder(str(tmp_path), [f"{tmp_path}/train.trn", f"{tmp_path}/all.csv"]) is CorpusFormat.manifest
    with pytest.raises(InputError, match="several formats fit: kaldi .*; ksponspeech .*; sphinx"):
        read(tmp_path)


def test_a_setting_that_says_nothing_of_the_corpus_is_refused(tmp_path: Path) -> None:
    tones(tmp_path, "john/0.wav")
    (tmp_path / "john/0.txt").write_text("x")
    for name in ("audio_root", "vocab_path"):
        with pytest.raises(ConfigError, match=f"prepare.{name}='x' is not possible: the corpus is folder, and only"):
            read(tmp_path, **{name: "x"})
