"""Run a job on a Ray cluster from afar, and end as it ends: `python jobs/submit.py --help`."""

from ds2ray.commandline.start import run_job

if __name__ == "__main__":
    run_job("submit", command="jobs/submit.py")
