"""Set, show, roll back or erase a user's own words: `python jobs/words.py --help`."""

from ds2ray.commandline.start import run_job

if __name__ == "__main__":
    run_job("words", command="jobs/words.py")
