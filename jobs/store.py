"""Look after a store: history, rollback, erase, gc, fsck, stats: `python jobs/store.py --help`."""

from ds2ray.commandline.start import run_job

if __name__ == "__main__":
    run_job("store", command="jobs/store.py")
