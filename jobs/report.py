"""List the runs of a store, and compare any two: `python jobs/report.py --help`."""

from ds2ray.commandline.start import run_job

if __name__ == "__main__":
    run_job("report", command="jobs/report.py")
