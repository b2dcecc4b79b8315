"""Train the adapters of all users whose data changed: `python jobs/adapt_users.py --help`."""

from ds2ray.commandline.start import run_job

if __name__ == "__main__":
    run_job("adapt_users", command="jobs/adapt_users.py")
