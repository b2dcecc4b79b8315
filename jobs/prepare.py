"""Pack a corpus into Parquet files that hold the audio: `python jobs/prepare.py --help`."""

from ds2ray.config import PrepareJob
from launch import run_job


def main(job: PrepareJob) -> int:
    from ds2ray.commands.prepare import run  # imports what reads audio

    return run(job)


if __name__ == "__main__":
    run_job(
        "prepare",
        PrepareJob,
        main,
        description=(
            "Read a corpus (any manifest, KoSpeech, LibriSpeech, Common Voice, or audio files with text files beside "
            "them) and pack its speech into Parquet files: one per user, or shards of equal size. Run it again to do "
            "what is unfinished or has changed."
        ),
    )
