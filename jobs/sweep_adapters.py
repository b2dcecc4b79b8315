"""Compare adapters on a few users: `python jobs/sweep_adapters.py --help`."""

from ds2ray.commandline.start import run_job

if __name__ == "__main__":
    run_job("sweep_adapters", command="jobs/sweep_adapters.py")
