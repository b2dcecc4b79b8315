"""The audio that a command names: lists in every shape, names of any bytes, pipes."""

import io
import os
from pathlib import Path

import pytest
from composing import composed, mistakes

from ds2ray import storage
from ds2ray.commands.transcribing.named_audio import named_audio, printable, read_list
from ds2ray.config import TranscribeJob
from ds2ray.errors import ConfigError, InputError


class Stdin:
    """What a program reads from."""

    def __init__(self, data: bytes, is_terminal: bool = False) -> None:
        self.buffer, self.is_terminal = io.BytesIO(data), is_terminal

    def isatty(self) -> bool:
        return self.is_terminal


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Holds a.wav and sub/b c.wav; the working directory is another."""
    (tmp_path / "sub").mkdir()
    for name in ("a.wav", "sub/b c.wav"):
        (tmp_path / name).write_bytes(b"x")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "here.wav").write_bytes(b"x")
    monkeypatch.chdir(elsewhere)
    return tmp_path


class TestLists:
    @pytest.mark.parametrize(
        "text",
        [
            b"a.wav\nsub/b c.wav\n",
            b"a.wav\r\nsub/b c.wav\r\n",
            b"a.wav\n\n  \nsub/b c.wav",
            b"\xef\xbb\xbfa.wav\nsub/b c.wav\n",
            b"a.wav\0sub/b c.wav\0",
            b"#EXTM3U\n#EXTINF:2,John - hello\na.wav\n#EXTINF:3,x\nsub/b c.wav\n",
            b"[playlist]\nFile1=a.wav\nTitle1=hello\nLength1=2\nFile2=sub/b c.wav\nNumberOfEntries=2\nVersion=2\n",
            "a.wav\r\nsub/b c.wav\r\n".encode("utf-16"),
        ],
    )
    def test_every_shape(self, folder: Path, text: bytes) -> None:
        (folder / "list.txt").write_bytes(text)
        assert read_list(str(folder / "list.txt")) == [str(folder / "a.wav"), str(folder / "sub" / "b c.wav")]

    def test_absolute_paths_and_uris_stay(self, folder: Path) -> None:
        (folder / "list.txt").write_text(f"{folder}/a.wav\ns3://bucket/b.wav\nfile:///c.wav\n")
        assert read_list(str(folder / "list.txt")) == [f"{folder}/a.wav", "s3://bucket/b.wav", "/c.wav"]

    def test_a_relative_path_starts_from_the_list_or_else_from_here(self, folder: Path) -> None:
        (folder / "list.txt").write_text("a.wav\nhere.wav\nnone.wav\n")
        assert read_list(str(folder / "list.txt")) == [
            str(folder / "a.wav"),
            str(folder / "elsewhere" / "here.wav"),
            str(folder / "none.wav"),
        ]

    def test_a_list_on_a_server(self) -> None:
        storage.write_bytes("memory://lists/list.txt", b"a.wav\n../b.wav\n")
        assert read_list("memory://lists/list.txt") == ["memory://lists/a.wav", "memory://b.wav"]

    def test_names_that_are_not_utf_8(self, folder: Path) -> None:
        name = "한글.wav".encode("cp949")
        (folder / "list.txt").write_bytes(name + b"\n")
        assert read_list(str(folder / "list.txt")) == [os.fsdecode(os.fsencode(folder) + b"/" + name)]

    def test_through_stdin(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sys.stdin", Stdin(b"here.wav\0../a.wav\0"))
        assert read_list("-") == [str(folder / "elsewhere" / "here.wav"), str(folder / "a.wav")]

    @pytest.mark.parametrize("text", [b"", b"\n\n", b"# nothing\n", b"[playlist]\nNumberOfEntries=0\n"])
    def test_one_that_names_nothing(self, folder: Path, text: bytes) -> None:
        (folder / "list.txt").write_bytes(text)
        with pytest.raises(InputError, match=r"list\.txt: names no audio"):
            read_list(str(folder / "list.txt"))

    @pytest.mark.parametrize(
        ("name", "message"),
        [("none.txt", "there is no such file"), ("sub", "is a directory"), ("a.wav", "is audio, not a list")],
    )
    def test_one_that_is_none(self, folder: Path, name: str, message: str) -> None:
        with pytest.raises(InputError, match=message):
            read_list(str(folder / name))


class TestNamedAudio:
    def test_files_and_then_those_of_the_list(self, folder: Path) -> None:
        (folder / "list.txt").write_text("sub/b c.wav\n")
        with named_audio(["here.wav", "none.wav"], str(folder / "list.txt")) as found:
            assert [each.uri for each in found] == [
                str(folder / "elsewhere" / "here.wav"),
                str(folder / "elsewhere" / "none.wav"),
                str(folder / "sub" / "b c.wav"),
            ]
            assert [each.name for each in found] == [each.uri for each in found]

    def test_stdin_is_a_file_while_it_is_needed(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sys.stdin", Stdin(b"what was said"))
        with named_audio(["here.wav", "-"], "") as found:
            assert [each.name for each in found] == [str(folder / "elsewhere" / "here.wav"), "-"]
            assert Path(found[1].uri).read_bytes() == b"what was said"
        assert not Path(found[1].uri).exists()

    def test_the_pipe_of_another_program(self, folder: Path) -> None:
        reading, writing = os.pipe()
        os.write(writing, b"what was said")
        os.close(writing)
        with named_audio([f"/dev/fd/{reading}"], "") as found:
            assert Path(found[0].uri).read_bytes() == b"what was said"
            assert found[0].name == f"/dev/fd/{reading}"
        os.close(reading)

    @pytest.mark.parametrize(("paths", "list_uri"), [(["-", "-"], ""), (["-"], "-")])
    def test_stdin_is_read_once(self, paths: list[str], list_uri: str) -> None:
        with pytest.raises(ConfigError, match="once only"), named_audio(paths, list_uri):
            pass

    @pytest.mark.parametrize(("paths", "list_uri"), [(["-"], ""), ([], "-")])
    def test_a_terminal_is_not_waited_for(
        self, paths: list[str], list_uri: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sys.stdin", Stdin(b"", is_terminal=True))
        with pytest.raises(ConfigError, match="stdin is a terminal"), named_audio(paths, list_uri):
            pass

    def test_none_that_can_be_read_is_told_at_once(self, folder: Path) -> None:
        (folder / "loop.wav").symlink_to(folder / "loop.wav")
        paths = [str(folder / name) for name in ("sub", "none.wav", "loop.wav")]
        with pytest.raises(InputError) as caught, named_audio(paths, ""):
            pass
        assert str(caught.value).splitlines() == [
            "none of the 3 files can be read:",
            f"  {folder}/sub: is a directory",
            f"  {folder}/none.wav: there is no such file",
            f"  {folder}/loop.wav: is a symbolic link that leads back to itself",
        ]

    def test_one_that_can_be_read_is_enough(self, folder: Path) -> None:
        with named_audio([str(folder / "sub"), str(folder / "a.wav")], "") as found:
            assert len(found) == 2

    def test_a_name_of_any_bytes_is_printable(self) -> None:
        path = os.fsdecode("/소리/".encode() + "한글.wav".encode("cp949"))
        assert printable(path) == r"/소리/\xc7\xd1\xb1\xdb.wav"
        assert printable("/a/한글.wav") == "/a/한글.wav"


class TestCommandLine:
    def test_a_hyphen_is_a_path(self) -> None:
        assert composed(TranscribeJob, "-").audio == ["-"]
        assert composed(TranscribeJob, "a.wav", "-").audio == ["a.wav", "-"]

    @pytest.mark.parametrize(
        "argv", [["--from-file", "list.txt"], ["--from-file=list.txt"], ["from_file=list.txt"], ["--from-file", "-"]]
    )
    def test_a_list(self, argv: list[str]) -> None:
        job = composed(TranscribeJob, *argv)
        assert (job.from_file, job.audio) == (argv[-1].rpartition("=")[2], [])

    def test_a_list_beside_files(self) -> None:
        job = composed(TranscribeJob, "a.wav", "--from-file", "x=1.txt", "b.wav")
        assert (job.from_file, job.audio) == ("x=1.txt", ["a.wav", "b.wav"])

    @pytest.mark.parametrize("argv", [["--from-file"], ["--from-file="]])
    def test_no_list(self, argv: list[str]) -> None:
        assert "--from-file names no list of files" in mistakes("transcribe", *argv)

    def test_other_jobs_read_none(self) -> None:
        assert "unknown option --from-file" in mistakes("adapt_users", "--from-file", "list.txt")
