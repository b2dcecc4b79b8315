"""The jobs: the settings of each, its purpose, and the module that does its work.

The module is imported when the job is done, so that `--help` and mistakes are answered at once.
"""

from dataclasses import dataclass
from importlib import import_module

from ds2ray.config import (
    AdaptJob,
    CalibrateJob,
    DemoJob,
    EvaluateJob,
    ExportJob,
    LanguageModelJob,
    PrepareJob,
    ReportJob,
    StoreJob,
    SubmitJob,
    SweepJob,
    TrainJob,
    TranscribeJob,
    WordsJob,
)
from ds2ray.config.storage import VERBS


@dataclass(frozen=True, kw_only=True)
class JobSpec:
    """A job.

    Attributes:
        schema: the dataclass of its settings.
        module: its function `run` takes the settings, does the job and returns the exit code.
        summary: its line in the list of all commands.
        description: the first lines of its help page.
        positional: the setting that takes arguments without a key; None: such arguments are refused.
        example: such an argument, as the usage line shows it.
        command: the setting that takes all words behind `--`; None: there are none.
    """

    schema: type
    module: str
    summary: str
    description: str
    positional: str | None = None
    example: str = ""
    command: str | None = None

    def run(self, job: object) -> int:
        """Do the job with these settings; returns the exit code."""
        code: int = import_module(self.module).run(job)
        return code


JOBS = {
    "prepare": JobSpec(
        schema=PrepareJob,
        module="ds2ray.commands.prepare",
        summary="pack a corpus into Parquet files that hold the audio",
        description=(
            "Read a corpus (any manifest, LibriSpeech, Common Voice, Kaldi, VoxForge, KoSpeech, KsponSpeech, Sphinx, "
            "or audio files with text files beside them) and pack its speech into Parquet files: one per user, or "
            "shards of about equal size. Run it again to do what is unfinished or has changed."
        ),
        positional="source",
        example="[corpus]",
    ),
    "train": JobSpec(
        schema=TrainJob,
        module="ds2ray.commands.train",
        summary="train a base from scratch, fine-tune it, or train one user's adapter",
        description=(
            "Train a base: with train.pretrained_model_path by fine-tuning all weights of that model.pt, else from "
            "scratch. With train.base_model_path train one user's adapter on that base instead."
        ),
    ),
    "adapt_users": JobSpec(
        schema=AdaptJob,
        module="ds2ray.commands.adapt_users",
        summary="train the adapters of all users whose data changed",
        description=(
            "Train one adapter against the frozen base for every user of the table who is new or whose data changed, "
            "and publish those that are no worse than what the user has. Run it again to do what is unfinished."
        ),
        positional="users",
        example="[users.csv]",
    ),
    "sweep_adapters": JobSpec(
        schema=SweepJob,
        module="ds2ray.commands.sweep_adapters",
        summary="compare adapters and ways to train them on a few users",
        description=(
            "Train adapters of several kinds, places and shapes, in several ways, for a few users of the table, and "
            "show the held-out error of each beside its size and its time. The best is written as best.yaml, which "
            "adapt_users takes with --config. Run it again to do what is unfinished."
        ),
        positional="users",
        example="[users.csv]",
    ),
    "transcribe": JobSpec(
        schema=TranscribeJob,
        module="ds2ray.commands.transcribe",
        summary="recognise audio files or a manifest, with the speakers' adapters",
        description=(
            "Recognise audio files, or every utterance of a manifest, with the base and the speaker's own adapter. "
            "Where the manifest has transcripts, the error rates of base and adapter are compared."
        ),
        positional="audio",
        example="[audio files …]",
    ),
    "evaluate": JobSpec(
        schema=EvaluateJob,
        module="ds2ray.commands.evaluate",
        summary="tell for whom recognition works, and what adapters or another base change",
        description=(
            "Recognise a manifest by the base alone, with the speakers' adapters and, where one is named, by another "
            "base. Errors are counted by user, length or any other column, with intervals and paired tests, and "
            "written as evaluation.json and as a page for a browser."
        ),
        positional="manifest",
        example="[test.csv]",
    ),
    "language_model": JobSpec(
        schema=LanguageModelJob,
        module="ds2ray.commands.language_model",
        summary="make a base's language model of texts or transcripts",
        description=(
            "Make an n-gram model of texts, or of the transcripts of manifests and corpora, by modified Kneser-Ney "
            "smoothing, and publish it beside the base. Recognition uses it with decode=lm."
        ),
        positional="texts",
        example="[texts and manifests …]",
    ),
    "export": JobSpec(
        schema=ExportJob,
        module="ds2ray.commands.export",
        summary="write a base and one user's adapter as one file that runs with torch alone",
        description=(
            "Write a base, with the adapter of one user where one is named, as one file of torch.export: a program "
            "from waveforms to log-probabilities of tokens, which torch.export.load opens without ds2ray."
        ),
        positional="output",
        example="[file.pt2]",
    ),
    "words": JobSpec(
        schema=WordsJob,
        module="ds2ray.commands.words",
        summary="set, show, roll back or erase a user's own words",
        description=(
            "Set the names, places and phrases that one user says, without training anything; with neither words nor a "
            "file show them. Recognition with decode=beam or decode=lm hears them in that user's speech."
        ),
        positional="file",
        example="[words.txt]",
    ),
    "store": JobSpec(
        schema=StoreJob,
        module="ds2ray.commands.upkeep.job",
        summary="look after the store: history, rollback, erase, gc, fsck, stats, unlock, export-user",
        description="\n".join(
            [
                "Look after the store: say what is to be done first, then whom it is about. Every verb may be killed "
                "and run again.",
                *(f"  {verb:<11}  {line}" for verb, line in VERBS.items()),
            ]
        ),
        positional="verb",
        example=f"{{{','.join(VERBS)}}} [users …]",
    ),
    "report": JobSpec(
        schema=ReportJob,
        module="ds2ray.commands.reporting.job",
        summary="list the runs of a store, and compare any two",
        description=(
            "List the runs of a store, the newest first; compare one run with the one before it, or any two, in the "
            "terminal and, with output=, as a page for a browser."
        ),
        positional="runs",
        example="[run …]",
    ),
    "calibrate": JobSpec(
        schema=CalibrateJob,
        module="ds2ray.commands.calibrate",
        summary="find how sure a base's words are",
        description=(
            "Recognise a manifest with transcripts by each decoder, fit how probable it is that a word was said, and "
            "publish that beside the base. Training a base does so on its validation data."
        ),
        positional="manifest",
        example="[manifest.csv]",
    ),
    "submit": JobSpec(
        schema=SubmitJob,
        module="ds2ray.commands.submitting.job",
        summary="run a job on a Ray cluster from afar, once a night, and end as it ends",
        description=(
            "Submit a command to a Ray cluster, show its log, and end with its exit code. A job is known by its name "
            "and the date: where it runs already, its log is shown from the beginning; where it has come to its end, "
            "that is told; where it was interrupted, or storage failed, it is run again."
        ),
        example="[key=value …] -- python jobs/adapt_users.py [arguments …]",
        command="command",
    ),
    "demo": JobSpec(
        schema=DemoJob,
        module="ds2ray.commands.demo",
        summary="speak a corpus, train a base, adapt eight users and show what they gained",
        description=(
            "The whole way on two CPU cores: speak a corpus, train a base on ordinary voices, train an adapter for "
            "each of eight users who speak differently, and recognise test sentences without and with it."
        ),
    ),
}
"""The jobs by name, which is that of the script in jobs/ and of the root in conf/."""
