"""Speak a corpus, train a base, adapt eight users and show what they gained: `make demo`."""

from ds2ray.commandline.start import run_job

if __name__ == "__main__":
    run_job("demo", command="jobs/demo.py")
