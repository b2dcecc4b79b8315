"""Train a base from scratch, fine-tune it, or train one user's adapter: `python jobs/train.py --help`."""

from ds2ray.commandline.start import run_job

if __name__ == "__main__":
    run_job("train", command="jobs/train.py")
