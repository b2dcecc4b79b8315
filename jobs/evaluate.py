"""Evaluate a base and its users' adapters: `python jobs/evaluate.py --help`."""

from ds2ray.commandline.start import run_job

if __name__ == "__main__":
    run_job("evaluate", command="jobs/evaluate.py")
