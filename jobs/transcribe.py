"""Recognise audio files or a manifest: `python jobs/transcribe.py --help`."""

from ds2ray.config import TranscribeJob
from launch import run_job


def main(job: TranscribeJob) -> int:
    from ds2ray.commands.transcribe import run  # imports torch and Ray

    return run(job)


if __name__ == "__main__":
    run_job(
        "transcribe",
        TranscribeJob,
        main,
        description=(
            "Recognise audio files, or every utterance of a manifest, with the base and the speaker's own adapter. "
            "Where the manifest has transcripts, the error rates of base and adapter are compared."
        ),
    )
