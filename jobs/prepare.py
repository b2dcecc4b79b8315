"""Pack a corpus into Parquet files that hold the audio: `python jobs/prepare.py --help`."""

from ds2ray.commandline.start import run_job

if __name__ == "__main__":
    run_job("prepare", command="jobs/prepare.py")
