"""Find how sure a base's words are: `python jobs/calibrate.py --help`."""

from ds2ray.commandline.start import run_job

if __name__ == "__main__":
    run_job("calibrate", command="jobs/calibrate.py")
