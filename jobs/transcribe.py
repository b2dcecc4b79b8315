"""Recognise audio files or a manifest: `python jobs/transcribe.py --help`."""

from ds2ray.commandline.start import run_job

if __name__ == "__main__":
    run_job("transcribe", command="jobs/transcribe.py")
