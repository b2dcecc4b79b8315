"""Make a base's language model of texts or transcripts: `python jobs/language_model.py --help`."""

from ds2ray.commandline.start import run_job

if __name__ == "__main__":
    run_job("language_model", command="jobs/language_model.py")
