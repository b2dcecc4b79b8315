"""Write a base and one user's adapter as one file: `python jobs/export.py --help`."""

from ds2ray.commandline.start import run_job

if __name__ == "__main__":
    run_job("export", command="jobs/export.py")
